"""How many workers a Ray cluster has room for, and for how long it may have too little."""

import pytest

from infra.errors import ServiceError, SettingsError
from infra.ray_executor import RayExecutor
from infra.ray_room import Patience, room_for

HEAD = {"Alive": True, "Resources": {"CPU": 4.0}}
WITH_GPUS = {"Alive": True, "Resources": {"CPU": 8.0, "GPU": 2.0}}
DEAD = {"Alive": False, "Resources": {"CPU": 8.0, "GPU": 8.0}}


def test_a_worker_needs_all_it_asks_for_on_one_living_node() -> None:
    nodes = [HEAD, WITH_GPUS, DEAD]
    assert room_for(nodes, {"CPU": 1}) == 12
    assert room_for(nodes, {"CPU": 3, "GPU": 1.0}) == 2
    assert room_for(nodes, {"CPU": 1, "GPU": 1.0, "memory": 1.0}) == 0


def test_too_little_room_for_too_long_is_named_and_room_that_comes_back_is_not() -> None:
    patience = Patience(2, {"CPU": 1, "GPU": 1.0}, wait_s=0.0, every_s=0.0)
    patience.look(lambda: [HEAD, WITH_GPUS])
    with pytest.raises(
        ServiceError, match=r"room for 0 trainers with 1 CPU and 1 GPU each, and 2 are needed\. What is"
    ):
        patience.look(lambda: [HEAD])
    patient = Patience(2, {"GPU": 1.0}, every_s=0.0)
    for nodes in ([HEAD], [WITH_GPUS], [HEAD]):
        patient.look(lambda nodes=nodes: nodes)  # type: ignore[misc]


class FakeRay:
    """A Ray of two CPUs."""

    @staticmethod
    def nodes() -> list[dict[str, object]]:
        return [{"Alive": True, "Resources": {"CPU": 2.0}}]


def test_trainers_that_a_ray_of_this_machine_will_never_have_room_for_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.setattr("infra.ray_executor._connected", lambda workers, address: FakeRay)
    with pytest.raises(
        SettingsError, match=r"asks for 4 trainers with 1 CPU each.* room for 2 .*WORLD_SIZE to 2, raise"
    ):
        list(RayExecutor(2).map_distributed(print, [0], 4, tmp_path))  # type: ignore[arg-type]


def test_no_more_groups_are_asked_for_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    asked = list[object]()
    monkeypatch.setattr("infra.ray_executor._connected", lambda workers, address: FakeRay)
    monkeypatch.setattr("infra.ray_executor.ray_map", lambda *arguments: asked.append(arguments[2:4]) or [])
    list(RayExecutor(8, "here").map_distributed(print, [0, 1, 2], 1, tmp_path))  # type: ignore[arg-type]
    list(RayExecutor(8).map_distributed(print, [0, 1, 2], 4, tmp_path, smaller=(2, 1)))  # type: ignore[arg-type]
    assert asked == [((1,), 2), ((4, 2, 1), 1)]
