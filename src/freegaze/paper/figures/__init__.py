"""Figures of Xu et al. (2023)."""
