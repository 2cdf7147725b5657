"""Films: what a search had found best on the way, bounded, through checkpoints, to the files."""

import json

import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence

from actmax.engine.analyses import film_recorder as films
from actmax.engine.analyses.film_recorder import Film, room
from actmax.engine.build import check
from actmax.engine.errors import InvalidJob
from actmax.engine.run import run_job, searches_of
from jobs import ALLOWED, PERMITTED, job, run_with_stops

FILMED = {"report": {"film": "gif"}, "baselines": [{"name": "adam"}], "budget": {"evaluations": 60}}


def seen(film: Film, scores: np.ndarray, each: int = 1, replicates: int = 1) -> None:
    latents = torch.arange(len(scores), dtype=torch.float32)[:, None]
    for start in range(0, len(scores), each):
        part = slice(start, start + each)
        film.see(start * replicates, latents[part], scores[part], replicates, lambda latents: latents)


@pytest.mark.parametrize("each", [1, 7, 250])
@pytest.mark.parametrize("known", [True, False])
def test_moments_are_the_best_until_then_however_candidates_come(each, known):
    scores = np.cumsum(np.random.RandomState(0).rand(500)) * np.random.RandomState(1).rand(500)
    scores[::3] = np.nan
    film = Film(500 if known else None, 60)
    seen(film, scores, each)
    assert 10 <= len(film.moments) <= 60
    for evaluations, score, latent in film.moments:
        assert score == np.nanmax(scores[:evaluations])
        assert scores[int(latent)] == score
    assert [at for at, _, _ in film.moments] == sorted({at for at, _, _ in film.moments})


@pytest.mark.parametrize("evaluations", [1, 2, 20, 1000, None])
def test_their_number_is_bounded(evaluations):
    film = Film(evaluations, 24)
    seen(film, np.arange(evaluations or 3000, dtype=float), 16)
    assert min(evaluations or 24, 12) <= len(film.moments) <= 24


def test_replicates_count_as_evaluations():
    film = Film(40)
    seen(film, np.arange(10, dtype=float), each=5, replicates=4)
    assert [at for at, _, _ in film.moments] == [4 * (number + 1) for number in range(10)]


def test_films_of_a_job_share_a_bound():
    assert room(3, 3 * 32 * 32) == (3, films.MOST_MOMENTS)
    filmed, moments = room(100, 3 * 224 * 224)
    assert filmed < 100
    assert moments == films.FEWEST_MOMENTS
    assert filmed * moments * 4 * 3 * 224 * 224 <= films.MOST_BYTES
    assert room(2, films.MOST_BYTES) == (1, films.FEWEST_MOMENTS)


def test_an_interrupted_job_has_the_same_film_and_the_files_show_it(tmp_path):
    whole = run_job(job(**FILMED), tmp_path / "whole", permissions=PERMITTED)
    resumed, stops = run_with_stops(job(**FILMED), tmp_path / "parts", 5)
    assert stops >= 2
    for one, other in zip(whole.searches, resumed.searches, strict=True):
        assert len(one.film) >= 2
        assert [(m.evaluations, m.score) for m in one.film] == [(m.evaluations, m.score) for m in other.film]
        assert all(np.array_equal(a.stimulus, b.stimulus) for a, b in zip(one.film, other.film, strict=True))
        scores = one.scores
        assert all(moment.score == np.nanmax(scores[: moment.evaluations]) for moment in one.film)
    folder = tmp_path / "whole" / "artifacts"
    for entry, search in zip(json.loads((folder / "result.json").read_text())["searches"], whole.searches, strict=True):
        with Image.open(folder / entry["files"]["film"]) as film:
            frames = [frame.convert("RGB") for frame in ImageSequence.Iterator(film)]
        assert len(frames) == len(search.film) + 1
        assert len({frame.size for frame in frames}) == 1
        assert frames[0].tobytes() != frames[-1].tobytes()
        assert entry["files"]["film"] in (folder / "report.html").read_text()


def test_what_is_searched_and_found_is_the_same_with_and_without(tmp_path):
    plain = run_job(job(**{**FILMED, "report": {}}), tmp_path / "plain", permissions=PERMITTED)
    filmed = run_job(job(**FILMED), tmp_path / "filmed", permissions=PERMITTED)
    for one, other in zip(plain.searches, filmed.searches, strict=True):
        assert np.array_equal(one.scores, other.scores)
        assert not one.film
    assert not (tmp_path / "plain/artifacts/film").exists()


def test_codes_are_kept_as_codes():
    checked = check(
        job(generator={"name": "toy_lab:codes"}, report={"film": "gif"}, optimizer={"name": "adam"}, budget={"evaluations": 8}),
        allow_imports=ALLOWED,
    )
    search = searches_of(checked)[0]
    film = search.recorders["film"]
    assert isinstance(film, Film)
    asked = search.ask()
    search.tell(torch.arange(len(asked)).double(), torch.zeros_like(asked))
    assert film.moments
    assert all(latent.shape == checked.generator.latent.shape and not latent.is_floating_point() for _, _, latent in film.moments)


def test_an_mp4_where_there_is_an_encoder(tmp_path, monkeypatch):
    ffmpeg = pytest.importorskip("imageio_ffmpeg")
    run_job(job(**{**FILMED, "units": ["4[0]"], "baselines": [], "report": {"film": "mp4"}}), tmp_path, permissions=PERMITTED)
    (path,) = (tmp_path / "artifacts/film").iterdir()
    assert path.suffix == ".mp4"
    reader = ffmpeg.read_frames(str(path))
    size = next(reader)["size"]
    frames = [np.frombuffer(frame, np.uint8) for frame in reader]
    assert len(frames) > 20
    assert all(side % 2 == 0 for side in size)
    assert np.abs(frames[0].astype(int) - frames[-1]).mean() > 1


def test_it_is_refused_where_there_is_none(monkeypatch):
    monkeypatch.setattr("actmax.engine.analyses.video.find_spec", lambda name: None)
    with pytest.raises(InvalidJob, match=r"report\.film: .*actmax\[video\]"):
        check(job(report={"film": "mp4"}), allow_imports=ALLOWED)
    check(job(report={"film": "gif"}), allow_imports=ALLOWED)


def test_another_kind_is_refused_by_field():
    with pytest.raises(InvalidJob, match=r"report\.film"):
        job(report={"film": "avi"})
