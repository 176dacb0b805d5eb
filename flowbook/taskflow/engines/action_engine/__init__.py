"""TaskFlow's ``engines.action_engine``: the engines that run atoms in this process."""
