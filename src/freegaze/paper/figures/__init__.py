"""Figures of Xu et al. (2023), one file each."""
