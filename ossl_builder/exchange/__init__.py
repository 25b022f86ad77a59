"""Tasks there and answers back: Label Studio, and the clips that labellers watch."""
