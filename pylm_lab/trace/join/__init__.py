"""Records of several processes, joined into one."""
