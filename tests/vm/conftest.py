"""What is in guest/ runs inside a virtual machine only."""

import os

from tests.vm.suite import INSIDE

collect_ignore = [] if os.environ.get(INSIDE) else ["guest"]
