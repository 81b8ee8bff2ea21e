"""Reproduction of Xu et al. (2023): tables, figures, published weights."""
