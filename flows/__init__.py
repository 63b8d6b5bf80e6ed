"""When matlift does it: one module per flow, and the command line that starts them.

Our libraries make a million objects while they are loaded, in which nothing is ever garbage. Python looks through
them a thousand times meanwhile, and once more before a process ends: together 3.5 of the 15 seconds that a run takes
which finds everything made.
"""

import atexit
import gc

gc.set_threshold(20_000, 10, 10)
atexit.register(gc.freeze)
