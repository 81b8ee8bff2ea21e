"""The data of Xu et al. (2023)."""
