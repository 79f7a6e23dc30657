"""The command line: one module a command, which parses, calls the public function of the same name and prints."""
