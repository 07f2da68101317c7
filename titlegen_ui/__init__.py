"""The page's parts: texts, looks, handlers. No model code here; `app.py` puts the parts together."""
