"""Stages over films: plan, build, staging, derived tables, status."""
