"""What needs PyTorch: the model, the grid, windows, and a whole training on two processes."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

try:
    import numpy as np
    import torch
    from tokenformer_train import evaluation, grid, publish, tokens, windows
    from tokenformer_train.model import Shape, TokenFormer
    from tokenformer_train.optimizer import Optimizer
except ImportError as e:
    if os.environ.get("TOKENFORMER_TRAINED"):
        raise
    raise unittest.SkipTest(f"without PyTorch: {e}") from e

PACKAGE = Path(__file__).resolve().parent.parent
TEXT = PACKAGE.parent / "eval/tokenformer_eval/data/northanger_abbey.txt"
SHAPE = Shape(layers=2, width=32, heads=1, qkv_slots=32, proj_slots=40, ffn_slots=64, vocab=128, context=64)


class Grid(unittest.TestCase):
    def test_a_table_on_the_grid_stays(self):
        torch.manual_seed(1)
        for bits in (4, 8):
            integers = torch.randint(-(2 ** (bits - 1)) + 1, 2 ** (bits - 1), (8, 64)).float()
            integers[:, ::32] = 2.0 ** (bits - 1) - 1  # the largest one
            table = integers * 0.0625
            self.assertTrue(torch.equal(grid.rounded(table, bits), table))

    def test_errors_are_small_and_groups_apart(self):
        torch.manual_seed(2)
        table = torch.randn(16, 96)
        table[:, 32:64] *= 100
        for bits, most in ((4, 0.11), (8, 0.006)):
            out = grid.rounded(table, bits)
            for group in range(0, 96, 32):
                part, exact = out[:, group : group + 32], table[:, group : group + 32]
                self.assertLess(float((part - exact).norm() / exact.norm()), most)
        self.assertTrue(torch.equal(grid.rounded(table.t(), 4, -2), grid.rounded(table, 4).t()))

    def test_ragged_and_zero_groups(self):
        table = torch.zeros(3, 40)
        table[1] = 1e-12
        self.assertTrue(torch.equal(grid.rounded(table, 4), torch.zeros(3, 40)))


class Model(unittest.TestCase):
    def test_one_id_at_a_time_is_the_same(self):
        torch.manual_seed(3)
        model = TokenFormer(SHAPE).eval()
        ids = torch.randint(0, 128, (1, 20))
        with torch.no_grad():
            whole, past = model(ids), model.memory()
            parts = [model(part, past) for part in (ids[:, :7], *ids[:, 7:].split(1, 1))]
        torch.testing.assert_close(torch.cat(parts, 1), whole, rtol=1e-4, atol=1e-4)

    def test_a_folder_is_read_as_it_was_written(self):
        torch.manual_seed(4)
        model = TokenFormer(SHAPE)
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            (folder / "t.json").write_text("{}")
            publish.write_model(folder, model, folder / "t.json", {})
            again = publish.read_model(folder)
        self.assertEqual(again.shape, SHAPE)
        for name, p in again.published_names().items():
            self.assertTrue(torch.equal(p, model.published_names()[name].half().float()), name)

    def test_rounded_weights_get_gradients_and_exact_ones_the_change(self):
        torch.manual_seed(5)
        model = TokenFormer(SHAPE)
        optimizer = Optimizer(model, compiled=False)
        exact = optimizer.weights.clone()
        optimizer.use(True)
        state = {name: p.detach() for name, p in model.published_names().items()}
        optimizer.use(False)
        wanted = grid.quantized({name: p.detach() for name, p in model.published_names().items()}, 4, 8)
        for name, tensor in state.items():
            self.assertEqual(tensor.data_ptr(), model.published_names()[name].data_ptr())
            self.assertEqual(wanted[name].shape, tensor.shape)
        optimizer.use(True)
        for name, p in model.published_names().items():
            torch.testing.assert_close(p.detach(), wanted[name], rtol=0, atol=0)
        model.loss(torch.randint(0, 128, (2, 33))).backward()
        optimizer.step(1e-3, 1e-3)
        self.assertFalse(torch.equal(optimizer.weights, exact))
        self.assertEqual(float(optimizer.gradients.abs().sum()), 0)


class Windows(unittest.TestCase):
    def source(self, folder, ids, aligned=0.0):
        path = Path(folder) / "x.u16"
        np.array(ids, np.uint16).tofile(path)
        return windows.Source(path, 8, aligned, "cpu", 7)

    def test_aligned_windows_begin_with_documents(self):
        with tempfile.TemporaryDirectory() as folder:
            ids = [i % 7 for i in range(2000)]  # a document every 7 ids
            source = self.source(folder, ids, 1.0)
            taken = source.windows(source.take(200))
            self.assertEqual(set(taken[:, 0].tolist()), {1})
            loose = self.source(folder, ids)
            self.assertEqual(set(loose.windows(loose.take(200))[:, 0].tolist()), set(range(7)))

    def test_processes_share_a_batch_and_go_on_where_they_were(self):
        with tempfile.TemporaryDirectory() as folder:
            ids = list(range(1, 1500))

            def mix(rank, world):
                return windows.Mix([windows.Weighted(self.source(folder, ids), 1, 1)], 6, rank, world)

            whole, halves = mix(0, 1), [mix(0, 2), mix(1, 2)]
            for _ in range(40):
                rows = whole.next(False).tolist()
                self.assertCountEqual(rows, [row for half in halves for row in half.next(False).tolist()])
            again = mix(0, 1)
            again.load(whole.state())
            self.assertEqual(again.next(False).tolist(), whole.next(False).tolist())


class Training(unittest.TestCase):
    """Trains, stops, goes on on two processes, and writes a model folder; TOKENFORMER_TRAINED says where."""

    def run_package(self, *arguments, processes=1):
        command = [sys.executable, "-m", "tokenformer_train", *map(str, arguments)]
        # With more threads than cores they wait for one another.
        environment = os.environ | {"PYTHONPATH": str(PACKAGE), "OMP_NUM_THREADS": "1"}
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        if processes > 1:  # what torchrun sets
            environment |= {"WORLD_SIZE": str(processes), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        started = [
            subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                env=environment | ({"RANK": str(rank)} if processes > 1 else {}),
            )
            for rank in range(processes)
        ]
        try:
            said = [process.communicate(timeout=600)[0] for process in started]
        finally:
            for process in started:
                process.kill()
        self.assertEqual([process.returncode for process in started], [0] * processes, said)
        return said[0]

    def test_a_whole_training(self):
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            output = Path(os.environ.get("TOKENFORMER_TRAINED") or folder / "model")
            text = TEXT.read_text("utf-8")
            pieces = [text[i : i + 3000] for i in range(0, 300_000, 3000)]
            (folder / "texts.txt").write_text(tokens.END.join(pieces), "utf-8")
            tokenizer, ids, held = folder / "tokenizer.json", folder / "texts.u16", folder / "held.u16"
            self.run_package("tokenizer", folder / "texts.txt", "--output", tokenizer, "--size", 384)
            split = ["--validation", 0.05, "--validation-output", held]
            self.run_package("tokens", folder / "texts.txt", ids, "--tokenizer", tokenizer, *split)
            config = {
                "tokenizer": str(tokenizer),
                "shape": [2, 32, 1, 32, 40, 64],
                "context": 96,
                "batch": 8,
                "sources": [{"file": str(ids), "weight": 1, "aligned": 0.5}],
                "validation": {"held out": str(held)},
                "validation_windows": 32,
                "output": str(output),
                "steps": 60,
                "warmup": 10,
                "state": str(folder / "state.pt"),
            }
            (folder / "config.json").write_text(json.dumps(config))
            self.run_package("train", folder / "config.json")
            first = json.loads((output / "training.json").read_text())
            config["steps"] = 300
            (folder / "config.json").write_text(json.dumps(config))
            said = self.run_package("train", folder / "config.json", processes=2)
            self.assertIn("resumed at step 60", said)
            last = json.loads((output / "training.json").read_text())
            self.assertEqual((first["steps"], last["steps"], last["ids"]), (60, 300, 300 * 8 * 96))
            # An untrained model needs log2(384) bits for each of its ids, of about two bytes.
            bits = [x["bits_per_byte"]["held out"] for x in (first, last)]
            self.assertLess(bits[0], 4.0)
            self.assertLess(bits[1], bits[0] - 0.2)
            # The last steps were on the grid, so rounding costs next to nothing.
            self.assertLess(last["bits_per_byte_q4"]["held out"], bits[1] * 1.01)
            openings = PACKAGE / "openings.txt"
            self.run_package("golden", output, "--prompts", openings, "--text", TEXT, "--characters", 4000)
            golden = json.loads((output / "golden.json").read_text())
            self.assertEqual(len(golden["cases"]), 20)
            measured = evaluation.measure(output, [TEXT], 16, golden["perplexity"]["tokens_scored"] // 2, None)
            self.assertLess(measured[TEXT.name]["perplexity"], 384 / 3)
            said = self.run_package("sample", output, "--prompts", openings, "--bits", 4, "--most", 5)
            self.assertIn("of 20 ended within 5 ids.", said)


if __name__ == "__main__":
    unittest.main()
