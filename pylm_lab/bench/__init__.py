"""The benchmark of the command `pylm-lab bench`: pylm_lab beside raw pyzmq, in one run."""
