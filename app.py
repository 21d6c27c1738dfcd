"""The app: endless music and text in the browser, from the checkpoints of this folder.

    streamlit run app.py                  # the checkpoints under checkpoints/
    streamlit run app.py -- FOLDER        # those under another folder

The pages are `generator/web/pages.py`. Beside them stand a few small routes, from which the browser pulls what comes
next.
"""

import streamlit as st

from generator.web.routes import routes

app = st.App("generator/web/pages.py", routes=routes())
