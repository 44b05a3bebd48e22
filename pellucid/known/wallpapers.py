"""The photographs among the wallpapers of four Debian packages: which they are, where they lie, whose they are.

Every picture of the packages was looked at. What is drawn, painted or computed is left out: of plasma-workspace-wallpapers
Altai, Autumn, Canopee, Cascade, Cluster, Elarun, Flow, FlyingKonqui, Honeywave, IceCold, Kay, Kokkini, MilkyWay, Opal,
PastelHills, Patak, SafeLanding, Shell and Volna; of lomiri-wallpapers analogpattern, Fossa, Infinite-Sea, Painting-Colors,
umang and warty-final-ubuntu; of mate-backgrounds all outside its folder nature.

Names and licences are those of the packages' copyright files; that of plasma-workspace-wallpapers names no photographer,
so there they are those of the metadata.json beside each picture.
"""

from dataclasses import dataclass
from pathlib import Path

PLASMA, LOMIRI_16, LOMIRI_20, MATE = (
    "plasma-workspace-wallpapers", "lomiri-wallpapers-16.04", "lomiri-wallpapers-20.04", "mate-backgrounds"
)  # fmt: skip
PLACES = {
    PLASMA: "wallpapers/{}/contents/images/2560x1600.jpg", LOMIRI_16: "backgrounds/{}.jpg",
    LOMIRI_20: "backgrounds/{}.jpg", MATE: "backgrounds/mate/nature/{}.jpg",
}  # fmt: skip
"""Where a package has its pictures, below /usr/share."""
TRAIN, HELD_OUT = "train", "held-out"
GPL, LGPL = "GPL-2.0-or-later", "LGPL-3.0 by its metadata.json, GPL-2.0-or-later by Debian's copyright file"


@dataclass(frozen=True)
class Wallpaper:
    """One photograph.

    Arguments:
        name: of the file, or of the folder that it lies in.
        package: Debian's, which has it.
        author: whom to credit.
        licence: by its SPDX name.
        part: "train", or "held-out" for those that nothing should be trained on.
    """

    name: str
    package: str
    author: str
    licence: str
    part: str = TRAIN

    @property
    def file(self) -> Path:
        """Below /usr/share."""
        return Path(PLACES[self.package].format(self.name))


WALLPAPERS = (
    Wallpaper("BytheWater", PLASMA, "Maciej Wiklo", LGPL),
    Wallpaper("ColdRipple", PLASMA, "Risto Saukonpää", LGPL),
    Wallpaper("ColorfulCups", PLASMA, "Dmitri Popov", LGPL),
    Wallpaper("DarkestHour", PLASMA, "Risto Saukonpää", LGPL),
    Wallpaper("EveningGlow", PLASMA, "Ian Hex", LGPL, HELD_OUT),
    Wallpaper("FallenLeaf", PLASMA, "Martin Klapetek", LGPL),
    Wallpaper("Grey", PLASMA, "Sigi Sagi", LGPL),
    Wallpaper("Kite", PLASMA, "Risto Saukonpää", LGPL),
    Wallpaper("OneStandsOut", PLASMA, "Risto Saukonpää", LGPL),
    Wallpaper("Path", PLASMA, "Risto Saukonpää", LGPL),
    Wallpaper("summer_1am", PLASMA, "Risto Saukonpää", LGPL),
    Wallpaper("Bridge_by_Sander_Klootwijk", LOMIRI_16, "Sander Klootwijk", "CC-BY-SA-4.0"),
    Wallpaper("Dragonfly_by_Bolly", LOMIRI_16, "Bolly", "CC-BY-SA-4.0"),
    Wallpaper("Picture_0B_by_freespace", LOMIRI_16, "Trevor \"Freespace\"", "CC-BY-4.0"),
    Wallpaper("Picture_1A_by_freespace", LOMIRI_16, "Trevor \"Freespace\"", "CC-BY-4.0"),
    Wallpaper("Wine_by_Jakkub_Mede", LOMIRI_16, "Jakub Mede", "CC-BY-4.0", HELD_OUT),
    Wallpaper("aitzgorri_by_Aitzol_Berasategi", LOMIRI_16, "Aitzol Berasategi", "CC-BY-4.0"),
    Wallpaper("free_by_Peter_Nerlich", LOMIRI_16, "Peter Nerlich", "CC-BY-SA-4.0"),
    Wallpaper("friends_by_Aitzol_Berasategi", LOMIRI_16, "Aitzol Berasategi", "CC-BY-4.0"),
    Wallpaper("greentock_by_Peter_Nerlich", LOMIRI_16, "Peter Nerlich", "CC-BY-SA-4.0"),
    Wallpaper("life_by_Aitzol_Berasategi", LOMIRI_16, "Aitzol Berasategi", "CC-BY-4.0"),
    Wallpaper("picosdeeuropa_by_Aitzol_Berasategi", LOMIRI_16, "Aitzol Berasategi", "CC-BY-4.0", HELD_OUT),
    Wallpaper("seeding_by_Clements_Engelhardt", LOMIRI_16, "Clemens Engelhardt", "CC0-1.0"),
    Wallpaper("sunset_by_Aitzol_Berasategi", LOMIRI_16, "Aitzol Berasategi", "CC-BY-4.0"),
    Wallpaper("Kleiber_by_Lukas_Baubkus", LOMIRI_20, "Lukas Baubkus", "CC-BY-SA-3.0", HELD_OUT),
    Wallpaper("Aqua", MATE, "Charles Barbin", GPL),
    Wallpaper("Blinds", MATE, "Lennart Poettering, Andrea Cimitan", GPL),
    Wallpaper("Dune", MATE, "Marco Cogoni, Hylke Bons", GPL, HELD_OUT),
    Wallpaper("FreshFlower", MATE, "Jens Ansorg", GPL),
    Wallpaper("Garden", MATE, "Charles Barbin", GPL, HELD_OUT),
    Wallpaper("GreenMeadow", MATE, "Timothy Schellhase, Lapo Calamandrei", GPL),
    Wallpaper("LadyBird", MATE, "Charles Barbin", GPL),
    Wallpaper("RainDrops", MATE, "\"blackcombwhistler07\"", GPL),
    Wallpaper("Storm", MATE, "Sergey Nazarov", GPL),
    Wallpaper("TwoWings", MATE, "Charles Barbin, Hylke Bons", GPL),
    Wallpaper("Wood", MATE, "Jean-François Fortin Tam", GPL),
    Wallpaper("YellowFlower", MATE, "Charles Barbin", GPL),
)
"""In a fixed order: the windows of a photograph depend on its place here, so new ones come last."""
