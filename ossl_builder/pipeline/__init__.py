"""Run the stages over films: plan, build, staging, derived tables, status."""
