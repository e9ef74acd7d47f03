"""What the commands of `bearcnn` do, one module a topic: each loads, calls one function, shows."""
