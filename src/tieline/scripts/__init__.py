"""Activity scripts: one process for each run, forked from a warm one, which can reach nothing but its end of a socket.

`runner` is the server's side. `zygote` is the program that is forked, `child` what a fork does, `confinement` and
`seccomp` what is taken from it first; these four load nothing but the standard library and the engine.
"""
