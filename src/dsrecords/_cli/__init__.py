"""The command `dsrecords`: each of its commands is a module, thin over a public function."""
