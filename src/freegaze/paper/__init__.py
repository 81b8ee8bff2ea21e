"""What is only about Xu et al. (2023)."""
