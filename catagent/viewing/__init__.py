"""A page on which a person sees what a solve, or thousands of them, did.

`write_page` puts rows into one HTML file that needs no network and no server: rollouts side by side with
their answers, the synthesis with what it kept from whom, rubric by rollout, costs, times. `read` makes rows
of what the project writes to disk. What is on the page comes from models and is treated as hostile.
"""

from catagent.viewing.page import is_page, write_page
from catagent.viewing.reading import Reading, read
from catagent.viewing.rows import MethodReference, Row
from catagent.viewing.serving import serving

__all__ = ["MethodReference", "Reading", "Row", "is_page", "read", "serving", "write_page"]
