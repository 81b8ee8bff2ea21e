"""Behavior columns from raw sensors: functions of arrays that also return quality numbers."""
