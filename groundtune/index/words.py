"""English words that carry no content. Knows spelling only."""

from __future__ import annotations

import re

_FUNCTION_WORDS = """
a about above after again against all almost along already also although always am among an and another any anybody anyone
anything are around as at away be became because become been before behind being below beside between beyond both but by can
cannot could did do does doing done down during each either else enough etc even ever every everybody everyone everything
except few for from further had has have having he hence her here hers herself him himself his how however i if in indeed
instead into is it its itself just least less let like may me might mine more most much must my myself neither never no nobody
none nor not nothing now of off often on once only onto or other others otherwise ought our ours ourselves out over own per
perhaps rather really same shall she should since so some somebody someone something sometimes still such than that the their
theirs them themselves then there therefore these they this those though through thus to together too toward towards under
unless until up upon us very was we were what whatever when whenever where whether which while who whoever whole whom whose
why will with within without would yes yet you your yours yourself yourselves
d don doesn didn isn aren wasn weren hasn haven hadn won wouldn couldn shouldn ll m re s t ve
describe explain give happen happens many mean means please tell
"""
_STEMS = """
abov alreadi anoth alway ani anybodi anyon anyth becam becaus becom befor besid doe dure els ever everi everybodi everyon
everyth henc howev inde mani nobodi noth onc onli otherwis ourselv perhap pleas realli sinc somebodi someon someth
sometim themselv therefor togeth veri whatev whenev whi yourselv describ
"""
STOP_WORDS = tuple(sorted({*_FUNCTION_WORDS.split(), *_STEMS.split()}))
"""Function words and the verbs of asking, with their Porter stems: the full-text index drops words after stemming them."""

_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")


def unspaced(text: str) -> bool:
    """Whether `text` holds letters of a script that writes words without spaces, so that its words cannot be compared."""
    return bool(_UNSPACED.search(text))
