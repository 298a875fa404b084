"""Lists the vocabulary of the harbour town of builtin:pocket: people, things, places, opposites, forms. Tables only."""

from __future__ import annotations

SHE = (
    "Mara", "Nell", "Ada", "Ida", "Lena", "Rosa", "Vera", "Tess", "Ruth", "June", "Edith", "Clara", "Hanna", "Greta", "Wilma",
    "Olga", "Petra", "Nora", "Dora", "Alma", "Bess", "Flora", "Ivy", "Hazel",
)  # fmt: skip
HE = (
    "Tom", "Ben", "Otto", "Karl", "Finn", "Hugo", "Emil", "Jan", "Piet", "Oskar", "Levi", "Amos", "Rolf", "Sven", "Max",
    "Paul", "Gus", "Ned", "Arno", "Bram", "Walt", "Eli", "Felix", "Anton",
)  # fmt: skip
NAMES = SHE + HE

COLOURS = ("red", "blue", "green", "yellow", "white", "black", "brown", "grey", "pink", "purple", "golden", "silver")

# singular -> plural
THINGS = {
    "lamp": "lamps", "cup": "cups", "bowl": "bowls", "spoon": "spoons", "rope": "ropes", "net": "nets", "basket": "baskets",
    "bucket": "buckets", "brush": "brushes", "coat": "coats", "hat": "hats", "scarf": "scarves", "key": "keys", "box": "boxes",
    "bell": "bells", "book": "books", "drum": "drums", "flag": "flags", "kite": "kites", "knife": "knives", "map": "maps",
    "pot": "pots", "ring": "rings", "shell": "shells", "shoe": "shoes", "ball": "balls", "bottle": "bottles",
    "button": "buttons", "candle": "candles", "clock": "clocks", "comb": "combs", "feather": "feathers", "flute": "flutes",
    "glove": "gloves", "jug": "jugs", "letter": "letters", "mirror": "mirrors", "needle": "needles", "pen": "pens",
    "pillow": "pillows", "plate": "plates", "purse": "purses", "sack": "sacks", "saw": "saws", "spade": "spades",
    "stick": "sticks", "stool": "stools", "ticket": "tickets", "towel": "towels", "wheel": "wheels", "whistle": "whistles",
    "hammer": "hammers", "watch": "watches", "dish": "dishes", "boot": "boots", "tray": "trays", "toy": "toys", "sail": "sails",
}  # fmt: skip
FOODS = {
    "pear": "pears", "plum": "plums", "carrot": "carrots", "loaf": "loaves", "bun": "buns", "cake": "cakes", "pie": "pies",
    "tomato": "tomatoes", "potato": "potatoes", "cherry": "cherries", "berry": "berries", "lemon": "lemons", "bean": "beans",
    "nut": "nuts", "radish": "radishes", "melon": "melons", "peach": "peaches", "turnip": "turnips",
}  # fmt: skip
ANIMALS = {
    "cat": "cats", "dog": "dogs", "goat": "goats", "hen": "hens", "goose": "geese", "mouse": "mice", "sheep": "sheep",
    "horse": "horses", "duck": "ducks", "pony": "ponies", "fox": "foxes", "calf": "calves", "crab": "crabs", "gull": "gulls",
    "snail": "snails", "bee": "bees", "frog": "frogs", "rabbit": "rabbits", "pig": "pigs", "cow": "cows", "fish": "fish",
    "donkey": "donkeys", "puppy": "puppies", "wolf": "wolves",
}  # fmt: skip
OTHERS = {
    "child": "children", "woman": "women", "man": "men", "baby": "babies", "foot": "feet", "tooth": "teeth", "leaf": "leaves",
    "shelf": "shelves", "boat": "boats", "tree": "trees", "flower": "flowers", "bench": "benches", "house": "houses",
    "church": "churches", "story": "stories", "lady": "ladies", "wife": "wives", "star": "stars", "stone": "stones",
    "bridge": "bridges", "day": "days", "city": "cities", "bus": "buses", "glass": "glasses", "bird": "birds", "ship": "ships",
}  # fmt: skip
PLURALS = THINGS | FOODS | ANIMALS | OTHERS

JOBS = (
    "baker", "sailor", "gardener", "teacher", "doctor", "cook", "painter", "farmer", "singer", "tailor", "miller", "smith",
    "driver", "judge", "barber", "porter", "weaver", "potter",
)  # fmt: skip

# place -> how one is there
PLACES = {
    "pier": "on", "bakery": "in", "mill": "at", "market": "at", "garden": "in", "school": "at", "tower": "in", "bridge": "on",
    "beach": "on", "forest": "in", "station": "at", "library": "in", "kitchen": "in", "farm": "on", "well": "at", "square": "on",
    "lake": "at", "church": "in", "harbour": "in", "island": "on", "shop": "in", "inn": "at", "hill": "on", "meadow": "in",
}  # fmt: skip

SPOTS = (
    "in the drawer", "under the bed", "on the shelf", "behind the door", "beside the stove", "on the table", "under the bench",
    "in the cupboard", "by the gate", "behind the barn", "on the roof", "under the stairs", "in the shed", "on the chair",
    "by the window", "in the cellar", "behind the curtain", "on the wall", "under the tree", "in the boat", "beside the pond",
    "on the step", "near the fence", "in the wagon", "under the blanket", "on the floor",
)  # fmt: skip

OPPOSITES = (
    ("hot", "cold"), ("big", "small"), ("wet", "dry"), ("old", "new"), ("fast", "slow"), ("high", "low"), ("long", "short"),
    ("hard", "soft"), ("heavy", "light"), ("full", "empty"), ("open", "closed"), ("clean", "dirty"), ("loud", "quiet"),
    ("early", "late"), ("near", "far"), ("rich", "poor"), ("happy", "sad"), ("good", "bad"), ("strong", "weak"),
    ("thick", "thin"), ("wide", "narrow"), ("deep", "shallow"), ("sweet", "sour"), ("smooth", "rough"), ("bright", "dark"),
    ("sharp", "blunt"), ("brave", "timid"), ("tidy", "messy"), ("busy", "idle"), ("tight", "loose"), ("cheap", "costly"),
    ("true", "false"), ("first", "last"), ("up", "down"), ("left", "right"), ("awake", "asleep"), ("safe", "risky"),
    ("calm", "stormy"), ("polite", "rude"), ("easy", "difficult"), ("straight", "crooked"), ("fresh", "stale"),
)  # fmt: skip

# base, third person, past, what comes after it
VERBS = (
    ("walk", "walks", "walked", "to the {place}"), ("run", "runs", "ran", "to the {place}"),
    ("go", "goes", "went", "to the {place}"),
    ("drive", "drives", "drove", "to the {place}"), ("ride", "rides", "rode", "to the {place}"),
    ("come", "comes", "came", "to the {place}"), ("carry", "carries", "carried", "the {thing}"),
    ("buy", "buys", "bought", "the {thing}"),
    ("sell", "sells", "sold", "the {thing}"), ("find", "finds", "found", "the {thing}"), ("lose", "loses", "lost", "the {thing}"),
    ("take", "takes", "took", "the {thing}"), ("bring", "brings", "brought", "the {thing}"),
    ("wash", "washes", "washed", "the {thing}"),
    ("paint", "paints", "painted", "the {thing}"), ("mend", "mends", "mended", "the {thing}"),
    ("clean", "cleans", "cleaned", "the {thing}"),
    ("draw", "draws", "drew", "the {thing}"), ("hide", "hides", "hid", "the {thing}"), ("hold", "holds", "held", "the {thing}"),
    ("keep", "keeps", "kept", "the {thing}"), ("make", "makes", "made", "the {thing}"),
    ("throw", "throws", "threw", "the {thing}"),
    ("drop", "drops", "dropped", "the {thing}"), ("lift", "lifts", "lifted", "the {thing}"),
    ("want", "wants", "wanted", "the {thing}"),
    ("break", "breaks", "broke", "the {thing}"), ("see", "sees", "saw", "the {animal}"),
    ("hear", "hears", "heard", "the {animal}"),
    ("feed", "feeds", "fed", "the {animal}"), ("catch", "catches", "caught", "the {animal}"),
    ("follow", "follows", "followed", "the {animal}"),
    ("call", "calls", "called", "the {animal}"), ("watch", "watches", "watched", "the {animal}"),
    ("love", "loves", "loved", "the {animal}"),
    ("eat", "eats", "ate", "the {food}"), ("cook", "cooks", "cooked", "the {food}"), ("cut", "cuts", "cut", "the {food}"),
    ("pick", "picks", "picked", "the {food}"), ("taste", "tastes", "tasted", "the {food}"), ("sing", "sings", "sang", "{spot}"),
    ("sit", "sits", "sat", "{spot}"), ("stand", "stands", "stood", "{spot}"), ("sleep", "sleeps", "slept", "{spot}"),
    ("wait", "waits", "waited", "{spot}"), ("work", "works", "worked", "{spot}"), ("dance", "dances", "danced", "{spot}"),
    ("rest", "rests", "rested", "{spot}"), ("play", "plays", "played", "{spot}"), ("read", "reads", "read", "{spot}"),
)  # fmt: skip

NUMBERS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen",
    "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty",
)  # fmt: skip
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December",
)  # fmt: skip

RHYMES = (
    ("cat", "hat", "mat", "bat"), ("bell", "shell", "well"), ("ring", "king", "spring"), ("boat", "goat", "coat"),
    ("star", "jar", "far"), ("moon", "spoon", "noon"), ("bee", "tree", "sea", "key"), ("house", "mouse"), ("fox", "box"),
    ("cake", "lake", "rake"), ("pan", "fan", "man"), ("rope", "hope", "soap"), ("bed", "red", "bread"), ("stone", "bone"),
    ("nose", "rose", "hose"), ("rain", "train", "chain"), ("dog", "frog", "log", "fog"), ("pear", "bear", "chair"),
    ("snow", "crow", "slow"), ("sack", "back", "black"), ("ball", "wall", "hall"), ("clock", "sock", "lock"),
    ("plate", "gate", "late"), ("wheel", "seal", "meal"), ("pie", "sky", "fly"), ("hen", "pen", "ten"), ("bun", "sun", "one"),
    ("jug", "rug", "mug"), ("net", "pet", "wet"), ("light", "night", "kite"),
)  # fmt: skip

WEATHER = (
    "The sun was warm and the sea was calm.", "A soft rain fell on the roofs.", "The wind came from the sea.",
    "Fog lay over the harbour.", "It was a bright morning.", "Snow had fallen in the night.", "The sky was grey all day.",
    "In the evening the stars came out.", "A storm shook the windows.", "The air smelled of salt and bread.",
    "Clouds went slowly over the hills.", "It was a cold and windy day.", "The night was quiet.", "The tide was low.",
)  # fmt: skip
FEELINGS = ("happy", "sad", "tired", "proud", "hungry", "glad", "afraid", "curious", "angry", "calm", "thirsty", "cold")
PRONOUNS = {**dict.fromkeys(SHE, ("she", "her", "her")), **dict.fromkeys(HE, ("he", "him", "his"))}
"""name -> subject, object, possessive."""


def a(word: str) -> str:
    """Returns the word with its indefinite article."""
    return f"{'an' if word[0] in 'aeiou' else 'a'} {word}"


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def series(items: list[str], last: str = "and") -> str:
    """Formats ``a, b and c``."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} {last} {items[-1]}"
