"""When matlift does it: one module per flow, and the command line that starts them.

Our libraries make a million objects while they are loaded, none of which is garbage. Python looks for some a thousand
times meanwhile, and once more before a process ends: 3.5 of the 15 seconds of a run that finds everything made.
"""

import atexit
import gc

gc.set_threshold(20_000, 10, 10)
atexit.register(gc.freeze)
