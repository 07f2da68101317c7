"""The page's looks: paper, ink and a vermilion seal; a reading lamp's brown when it is dark. System fonts only."""

from pathlib import Path

import gradio as gr
from gradio.themes.utils import colors

ASSETS = Path(__file__).parent / "assets"
CSS, JS = ASSETS / "page.css", ASSETS / "page.js"

VERMILION = colors.Color(
    "#fdf3ef", "#fae1d8", "#f3bfae", "#ea9880", "#de7052", "#cb4f30", "#b03a1f", "#8f2f1a", "#702718", "#552015",
    "#33120b", name="vermilion",
)  # fmt: skip
PAPER = colors.Color(
    "#fdfaf4", "#f8f2e6", "#ece2d0", "#dccfb8", "#b5a68c", "#8a7c66", "#675b4a", "#4e4438", "#362f27", "#26211c",
    "#1b1714", name="paper",
)  # fmt: skip
SANS = ("Hiragino Sans", "Yu Gothic UI", "Yu Gothic", "Noto Sans CJK JP", "Noto Sans JP", "Meiryo", "sans-serif")
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "Noto Sans Mono CJK JP", "monospace")


def theme() -> gr.themes.Base:
    """Return the theme, light and dark."""
    return gr.themes.Base(
        primary_hue=VERMILION, secondary_hue=VERMILION, neutral_hue=PAPER, font=SANS, font_mono=MONO,
        radius_size=gr.themes.sizes.radius_md, text_size=gr.themes.sizes.text_md,
    ).set(
        body_background_fill="#f8f2e6", body_background_fill_dark="#1b1714",
        body_text_color="#2b2520", body_text_color_dark="#f2e9da",
        body_text_color_subdued="#675b4a", body_text_color_subdued_dark="#c4b59c",
        background_fill_primary="#fffdf8", background_fill_primary_dark="#26211c",
        background_fill_secondary="#f8f2e6", background_fill_secondary_dark="#1f1a16",
        block_background_fill="#fffdf8", block_background_fill_dark="#26211c",
        block_border_color="#e3d7c1", block_border_color_dark="#443a30",
        block_label_text_color="#4e4438", block_label_text_color_dark="#dccfb8",
        block_title_text_color="#2b2520", block_title_text_color_dark="#f2e9da", block_title_text_weight="600",
        block_info_text_color="#675b4a", block_info_text_color_dark="#c4b59c",
        border_color_primary="#d5c6ab", border_color_primary_dark="#554a3e",
        input_background_fill="#fffefb", input_background_fill_dark="#1f1a16",
        input_border_width="1px", input_border_width_dark="1px",
        input_border_color="#cbbb9d", input_border_color_dark="#5d5145",
        input_placeholder_color="#756956", input_placeholder_color_dark="#a89a83",
        button_primary_background_fill="#b03a1f", button_primary_background_fill_hover="#8f2f1a",
        button_primary_background_fill_dark="#b94424", button_primary_background_fill_hover_dark="#9c3419",
        button_primary_text_color="#ffffff", button_primary_text_color_dark="#ffffff",
        button_secondary_background_fill="#f3e9d7", button_secondary_background_fill_hover="#ebdcc1",
        button_secondary_background_fill_dark="#3a322a", button_secondary_background_fill_hover_dark="#4b4137",
        button_secondary_text_color="#362f27", button_secondary_text_color_dark="#f2e9da",
        checkbox_label_background_fill="#fffdf8", checkbox_label_background_fill_dark="#2c2620",
        checkbox_label_background_fill_selected="#b03a1f", checkbox_label_background_fill_selected_dark="#b94424",
        checkbox_label_text_color_selected="#ffffff", checkbox_label_text_color_selected_dark="#ffffff",
        link_text_color="#8f2f1a", link_text_color_dark="#f3bfae",
        slider_color="#b03a1f", slider_color_dark="#de7052",
    )  # fmt: skip
