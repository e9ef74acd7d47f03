"""Camtrap DP 1.0, the exchange format of camera-trap projects: https://camtrap-dp.tdwg.org."""
