"""Darwin Core Archives: which field of a table is which term, and the files that say it.

    plan = compile_plan(names, settings.darwin_core)     # once a job: the names of the table's fields, in their order
    plan.core.name, header(plan.core)                    # "occurrence.csv" and its first line
    for name, content in encode_records(plan, records):           # for each page: some lines of the file `name`
        ...
    meta_xml(plan, names_of_files_with_rows, eml=False)  # last

Everything here is pure: values in, values and bytes out; only definitions of extensions are read from files.
The format is that of the Darwin Core text guide, http://rs.tdwg.org/dwc/terms/guides/text/.
"""

from ckanpackager.darwin_core.eml import fill_eml
from ckanpackager.darwin_core.extensions import SHIPPED, Extension, definition
from ckanpackager.darwin_core.mapping import compile_plan
from ckanpackager.darwin_core.meta import meta_xml
from ckanpackager.darwin_core.plan import Plan, Table
from ckanpackager.darwin_core.rows import encode_records, header

__all__ = [
    "SHIPPED",
    "Extension",
    "Plan",
    "Table",
    "compile_plan",
    "definition",
    "encode_records",
    "fill_eml",
    "header",
    "meta_xml",
]
