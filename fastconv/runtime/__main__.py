"""python -m fastconv.runtime"""
from . import show_config

show_config()
