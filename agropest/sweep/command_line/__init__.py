"""What the command line says over a sweep file: settings, and the run that they make of a launch."""
