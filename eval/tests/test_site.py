"""The server, and how builds, models and browsers are found."""

import urllib.request
from urllib.error import HTTPError

import pytest
from tokenformer_eval import chromium
from tokenformer_eval.errors import EvaluationError
from tokenformer_eval.site import Site, find_dist, find_model_folder, hash_of_build


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "dist/lib").mkdir(parents=True)
    (tmp_path / "dist/tokenformer.js").write_text("export {};")
    (tmp_path / "model").mkdir()
    (tmp_path / "blob").write_bytes(bytes(range(200)))
    # As in huggingface_hub's cache.
    (tmp_path / "model/model.safetensors").symlink_to(tmp_path / "blob")
    return tmp_path


def get(site, path, headers=None):
    request = urllib.request.Request(f"http://127.0.0.1:{site.port}{path}", headers=headers or {})
    with urllib.request.urlopen(request) as response:
        return response.status, dict(response.headers), response.read()


def test_ranges_types_and_absences(folder):
    site = Site(folder / "dist", {"/models/mine/": folder / "model"})
    try:
        status, headers, body = get(site, "/models/mine/model.safetensors", {"Range": "bytes=10-19"})
        assert (status, body, headers["Content-Range"]) == (206, bytes(range(10, 20)), "bytes 10-19/200")
        assert get(site, "/models/mine/model.safetensors")[2] == bytes(range(200))
        assert get(site, "/")[1]["Content-Type"].startswith("text/html")
        for path in ("/bridge.js", "/dist/tokenformer.js"):
            assert "javascript" in get(site, path)[1]["Content-Type"]
        for path in ("/models/mine/config.json", "/dist/../blob", "/dist/%2e%2e/blob"):
            with pytest.raises(HTTPError, match="40[34]"):
                get(site, path)
    finally:
        site.close()
        site.close()


def test_builds_and_models_are_found(folder):
    assert find_dist(str(folder / "dist")) == (folder / "dist").resolve()
    with pytest.raises(EvaluationError, match="trunk build --release"):
        find_dist(str(folder))
    for given in (folder / "model", folder / "model/model.safetensors"):
        assert find_model_folder(str(given)) == (folder / "model").resolve()
    assert find_model_folder("owner/name") is None
    for wrong in ("/nowhere/at-all", str(folder / "dist")):
        with pytest.raises(EvaluationError, match="no model"):
            find_model_folder(wrong)


def test_another_build_is_another_one(folder):
    before = hash_of_build(folder / "dist")
    assert before == hash_of_build(folder / "dist")
    (folder / "dist/lib/new.js").write_text("")
    assert before != hash_of_build(folder / "dist")


def test_a_build_of_another_name_alone_is_none(folder):
    dist = folder / "dist"

    def named(name):
        (dist / "lib/build.js").write_text(f'export const BUILD = "{name}";\n')
        (dist / "lib/more.js").write_text(f'import "./build.js?build={name}";\n')
        (dist / "service-worker.js").write_text(f'const SHELL = ["page/{name}.js"];\n')
        return hash_of_build(dist)

    assert named("0123456789ab") == named("ba9876543210")
    (dist / "lib/more.js").write_text("")
    assert hash_of_build(dist) != named("0123456789ab")


def test_browsers_are_found(folder, monkeypatch):
    for name in ("chromium", "google-chrome"):
        (folder / name).write_text("")
        (folder / name).chmod(0o755)
    monkeypatch.delenv("CHROMIUM", raising=False)
    monkeypatch.setenv("PATH", f"/snap/bin:{folder}")
    assert chromium.find_browser() == str(folder / "chromium")
    monkeypatch.setenv("CHROMIUM", str(folder / "google-chrome"))
    assert chromium.find_browser() == str(folder / "google-chrome")
    with pytest.raises(EvaluationError, match="which the model argument `browser` names, is no program"):
        chromium.find_browser(str(folder))
    monkeypatch.setenv("PATH", "/snap/bin")
    monkeypatch.delenv("CHROMIUM")
    assert chromium.find_browser() is None


def test_flags():
    assert "--use-webgpu-adapter=swiftshader" in chromium.flags("swiftshader", 1, None)
    assert chromium.flags("auto", 1, "--a '--b=c d'")[-2:] == ["--a", "--b=c d"]
    with pytest.raises(EvaluationError, match="Known are auto, swiftshader, native"):
        chromium.flags("fast", 1, None)
