"""Floor 5: known data sets, fetched by name. A recipe is one file and one line here."""

from pellucid.core.registry import Registry

recipes = Registry("data recipe", __name__, {
    "animated_emoji": "animated_emoji.AnimatedEmoji",
    "chinese_poems": "chinese_poems.ChinesePoems",
    "descriptions": "descriptions.Descriptions",
    "dialogues": "dialogues.Dialogues",
    "digits": "digits.Digits",
    "electricity": "electricity.Electricity",
    "emoji": "emoji.Emoji",
    "fashion_mnist": "fashion_mnist.FashionMNIST",
    "fortunes": "fortunes.Fortunes",
    "king_james": "king_james.KingJames",
    "melodies": "melodies.Melodies",
    "notes": "notes.Notes",
    "photographs": "photographs.Photographs",
    "replies": "replies.Replies",
    "sea_temperature": "sea_temperature.SeaTemperature",
    "spoken_digits": "spoken_digits.SpokenDigits",
    "stock_indices": "stock_indices.StockIndices",
    "verses": "verses.Verses",
})

__getattr__, __dir__, __all__ = recipes.module_interface()
