"""The app: endless music and text in the browser.

    streamlit run app.py                  # the checkpoints here, the user's own, and the shipped ones
    streamlit run app.py -- FOLDER        # those in another folder

The pages are `generator/web/pages.py`. Beside them stand a few small routes, from which the browser pulls what comes
next.
"""

import streamlit as st

from generator.foundation.places import PACKAGE
from generator.web.routes import routes

app = st.App(PACKAGE / "web" / "pages.py", routes=routes())
