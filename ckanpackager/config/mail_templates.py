"""The mails as they are without a configuration of one's own: text, and HTML for the body of a page."""

LINK_SUBJECT = "Your data is ready: {title}"

LINK_BODY = """\
Hello,

The data that you requested from {portal_name} is ready:

{title}
{download_url}

Dataset: {dataset_title}
Publisher: {publisher}
Format: {format}
Selection: {query}
Rows: {rows}
Size: {size}
SHA-256: {sha256}
Licence: {licence}
How to cite: {citation}
Available until: {expires}
Your request: {status_url}

Please note: {notes}

{doi_body}

Questions? {contact}
"""

LINK_BODY_HTML = """\
<p>Hello,</p>
<p>The data that you requested from {portal_name} is ready:</p>
<h1>{title}</h1>
<p><a class="button" href="{download_url}">Download</a></p>
<table>
<tr><th>Dataset</th><td>{dataset_title}</td></tr>
<tr><th>Publisher</th><td>{publisher}</td></tr>
<tr><th>Format</th><td>{format}</td></tr>
<tr><th>Selection</th><td>{query}</td></tr>
<tr><th>Rows</th><td>{rows}</td></tr>
<tr><th>Size</th><td>{size}</td></tr>
<tr><th>SHA-256</th><td><code>{sha256}</code></td></tr>
<tr><th>Licence</th><td>{licence}</td></tr>
<tr><th>How to cite</th><td>{citation}</td></tr>
<tr><th>Available until</th><td>{expires}</td></tr>
<tr><th>Your request</th><td><a href="{status_url}">{status_url}</a></td></tr>
</table>
<p>Please note: {notes}</p>
{doi_body_html}
<p class="small">If the button does not work, open this address: <a href="{download_url}">{download_url}</a></p>
<p class="small">Questions? {contact}</p>
"""

FAILURE_SUBJECT = "Resource from {ckan_host} could not be packaged"

FAILURE_BODY = """\
Hello,

The data you requested from {ckan_host} (resource {resource_id}) could not be packaged:

{error}

If you ask its administrators about this, please give them the number of your request: {job}

Contact: {contact}
"""

FAILURE_BODY_HTML = """\
<p>Hello,</p>
<p>The data you requested from {ckan_host} (resource {resource_id}) could not be packaged:</p>
<p>{error}</p>
<p class="small">If you ask its administrators about this, please give them the number of your request: {job}</p>
<p class="small">Contact: {contact}</p>
"""

ACCEPTED_SUBJECT = "Your request for data from {portal_name}"

ACCEPTED_BODY = """\
Hello,

Your request for data from {portal_name} was accepted. Another mail will bring the link when the data is ready.
Until then you can follow your request here:

{status_url}

Resource: {resource_id}
Format: {format}
Selection: {query}

Questions? {contact}
"""

ACCEPTED_BODY_HTML = """\
<p>Hello,</p>
<p>Your request for data from {portal_name} was accepted. Another mail will bring the link when the data is ready.</p>
<p><a class="button" href="{status_url}">Follow your request</a></p>
<table>
<tr><th>Resource</th><td>{resource_id}</td></tr>
<tr><th>Format</th><td>{format}</td></tr>
<tr><th>Selection</th><td>{query}</td></tr>
</table>
<p class="small">If the button does not work, open this address: <a href="{status_url}">{status_url}</a></p>
<p class="small">Questions? {contact}</p>
"""
