"""What the command line does, as functions: one verb a file, arrays or paths in, results out."""
