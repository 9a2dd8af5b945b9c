"""Texts that practitioners keep, and that limits made for prose would drop."""

from pathlib import Path

import pytest

from tasks.curate.config import CurateParams
from tasks.curate.stage import run
from tests.curate.folders import document, ingest_folder, rows, workshop

STATUTE = (
    "§ 12-404. Notice of claim. (a) No action may be maintained against the District unless, within 6 months after the "
    "injury, the claimant has given notice in writing under § 12-402(b)(1)-(3)."
)
LICENCE = (
    "Redistribution and use in source and binary forms, with or without modification, are permitted provided that the "
    "following conditions are met: 1. Redistributions of source code must retain the above copyright notice."
)
ANSWER = "Mia reads 12 pages, then 3 x 4 = 12 pages more. How many pages? 12 + 12 = 24. She reads 24 pages. #### 24"
WRAPPED = "\n".join(
    [
        "The scheduler looks at every queue once a second and gives each of them a share",
        "of the workers, which is proportional to the number of tasks that wait in it, but",
        "never less than one worker for a queue that has any work to do at all. A queue that",
        "has been idle for a minute gives its share back, and the others have it at the next",
        "look, so that nothing has to be configured by hand when the load moves between them.",
    ]
)


@pytest.mark.parametrize(
    ("profile", "text"),
    [("legal", STATUTE), ("legal", LICENCE), ("math", ANSWER), ("prose", WRAPPED)],
    ids=["a short section of law", "a short licence", "an answer behind ####", "hard-wrapped lines"],
)
def test_what_a_practitioner_keeps_is_kept(tmp_path: Path, profile: str, text: str) -> None:
    folder = ingest_folder(tmp_path / "ingest", [[document("one", text), document("noise", "x 1 2 3 " * 40)]])
    run(CurateParams(profile=profile), inputs={"ingest": folder}, output=tmp_path / "out", workshop=workshop(tmp_path))
    assert [row["id"] for row in rows(tmp_path / "out", "kept")] == ["one"], rows(tmp_path / "out", "dropped")
