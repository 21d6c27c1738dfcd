"""What others would use: a loop over `nn.LSTM`, ONNX Runtime's LSTM, and a transformer with a key-value cache.

Each is given what suits it: fp32 as it comes (ONNX Runtime also its own int8), inference mode, no copies that its
interface does not ask for, and weights and caches that are in place before the clock starts.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.measuring import Work, optional
from generator.bench import sample_with_nn_lstm
from generator.model.lstm import LanguageModel

HEAD = 64
"""Units of an attention head, as in GPT-2."""


def nn_lstm_loop(model: LanguageModel, streams: int) -> Work:
    """`nn.LSTM` called for one token of every stream at a time, then softmax and multinomial."""
    return lambda steps: sample_with_nn_lstm(model, 0, steps, streams)


class OnnxLstm:
    """The model as an ONNX graph of LSTM nodes with explicit h and c, in a session of ONNX Runtime."""

    def __init__(self, model: LanguageModel, threads: int, *, int8: bool = False) -> None:
        """`int8` lets ONNX Runtime quantise the weights in its own way (dynamic quantisation)."""
        runtime = optional("onnxruntime")
        self.config = model.config
        options = runtime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 3
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.onnx"
            optional("onnx").save(graph(model), path)
            if int8:
                quantised = path.with_name("int8.onnx")
                optional("onnxruntime.quantization").quantize_dynamic(path, quantised)
                path = quantised
            self._session = runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def zero_state(self, streams: int) -> list[npt.NDArray[np.float32]]:
        """h and c of every layer, each (1, streams, hidden_size)."""
        shape = (1, streams, self.config.hidden_size)
        return [np.zeros(shape, np.float32) for _ in range(2 * self.config.num_layers)]

    def step(
        self, tokens: npt.NDArray[np.int64], state: list[npt.NDArray[np.float32]]
    ) -> tuple[npt.NDArray[np.float32], list[npt.NDArray[np.float32]]]:
        """Tokens (streams,) and state in, logits (streams, vocab_size) and state out."""
        feed = {"tokens": tokens[None]} | {f"in{number}": array for number, array in enumerate(state)}
        logits, *after = self._session.run(None, feed)
        return logits, after

    def loop(self, streams: int, *, samples: bool) -> Work:
        """Steps on from a zero state, either sampling with NumPy or reading the same tokens again."""
        tokens, state = np.zeros(streams, np.int64), self.zero_state(streams)
        random = np.random.default_rng(0)

        def work(steps: int) -> None:
            nonlocal tokens, state
            for _ in range(steps):
                logits, state = self.step(tokens, state)
                if samples:
                    p = np.exp(logits - logits.max(axis=1, keepdims=True)).cumsum(axis=1)
                    tokens = (p < random.random((streams, 1)) * p[:, -1:]).sum(axis=1)

        return work


def graph(model: LanguageModel) -> Any:
    """The ONNX model: `tokens` (1, streams) and h and c of each layer in; logits, h and c of each layer out."""
    helper, numpy_helper = optional("onnx.helper"), optional("onnx.numpy_helper")
    integers, floats = optional("onnx").TensorProto.INT64, optional("onnx").TensorProto.FLOAT
    config, hidden = model.config, model.config.hidden_size
    weights: dict[str, npt.NDArray[Any]] = {
        "embedding": model.embedding.weight.detach().numpy(),
        "output": model.output.weight.detach().numpy().T.copy(),
        "output_bias": model.output.bias.detach().numpy(),
        "steps": np.array([0]),
    }
    inputs = [helper.make_tensor_value_info("tokens", integers, [1, "streams"])]
    outputs = [helper.make_tensor_value_info("logits", floats, ["streams", config.vocab_size])]
    nodes = [helper.make_node("Gather", ["embedding", "tokens"], ["x0"])]
    for layer in range(config.num_layers):
        w_ih, w_hh, b_ih, b_hh = (_iofc(tensor.detach().numpy()) for tensor in model.layer_weights(layer))
        weights |= {f"w{layer}": w_ih[None], f"r{layer}": w_hh[None], f"b{layer}": np.concatenate([b_ih, b_hh])[None]}
        h, c = 2 * layer, 2 * layer + 1
        read = [f"x{layer}", f"w{layer}", f"r{layer}", f"b{layer}", "", f"in{h}", f"in{c}"]
        nodes.append(helper.make_node("LSTM", read, [f"y{layer}", f"out{h}", f"out{c}"], hidden_size=hidden))
        # (steps, directions, streams, hidden) loses its directions.
        nodes.append(helper.make_node("Squeeze", [f"y{layer}", "one"], [f"x{layer + 1}"]))
        for number in (h, c):
            inputs.append(helper.make_tensor_value_info(f"in{number}", floats, [1, "streams", hidden]))
            outputs.append(helper.make_tensor_value_info(f"out{number}", floats, [1, "streams", hidden]))
    weights["one"] = np.array([1])
    nodes.append(helper.make_node("Squeeze", [f"x{config.num_layers}", "steps"], ["last"]))
    nodes.append(helper.make_node("MatMul", ["last", "output"], ["product"]))
    nodes.append(helper.make_node("Add", ["product", "output_bias"], ["logits"]))
    initializers = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    whole = helper.make_graph(nodes, "lstm", inputs, outputs, initializers)
    made = helper.make_model(whole, opset_imports=[helper.make_opsetid("", 17)])
    made.ir_version = 8
    return made


def _iofc(array: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Gates in ONNX's order from torch's (i, f, g, o), along the first axis."""
    i, f, g, o = np.split(array, 4)
    return np.concatenate([i, o, f, g])


class Gpt2:
    """A GPT-2 with random weights, of about as many parameters as asked for (its table of positions not counted)."""

    def __init__(self, parameters: int, vocabulary: int, longest: int) -> None:
        """`longest` is the longest context, tokens."""
        self._library = optional("transformers")
        layers, width = shape(parameters, vocabulary)
        torch.manual_seed(0)
        self.config = self._library.GPT2Config(
            vocab_size=vocabulary,
            n_positions=longest,
            n_embd=width,
            n_layer=layers,
            n_head=max(1, width // HEAD),
            bos_token_id=0,
            eos_token_id=0,
        )
        self.model = self._library.GPT2LMHeadModel(self.config).eval()
        self.parameters = self.model.num_parameters() - longest * width

    def cache_bytes(self, streams: int, context: int) -> int:
        """Of the keys and values, fp32."""
        return int(8 * self.config.n_layer * self.config.n_embd * context * streams)

    def at(self, streams: int, context: int) -> Work:
        """Steps that each read a token as the last of a full context, then softmax and multinomial.

        The cache is transformers' `StaticCache`, which here is faster than the growing one. It is filled with random
        numbers: what it costs to read does not depend on them.
        """
        cache = self._library.StaticCache(config=self.config, max_cache_len=context)
        tokens = torch.zeros((streams, 1), dtype=torch.int64)
        with torch.inference_mode():
            self.model(tokens, past_key_values=cache)
            for layer in cache.layers:
                layer.keys.normal_()
                layer.values.normal_()

        def back() -> None:
            for layer in cache.layers:
                layer.cumulative_length.fill_(context - 1)

        return self._loop(tokens, cache, back)

    def growing(self) -> Work:
        """One stream from its first token on, with the cache that grows."""
        tokens = torch.zeros((1, 1), dtype=torch.int64)
        return self._loop(tokens, self._library.DynamicCache(config=self.config), lambda: None)

    def _loop(self, tokens: torch.Tensor, cache: Any, before: Callable[[], None]) -> Work:
        @torch.inference_mode()
        def work(steps: int) -> None:
            nonlocal tokens
            for _ in range(steps):
                before()
                logits = self.model(tokens, past_key_values=cache, use_cache=True).logits
                tokens = torch.multinomial(torch.softmax(logits[:, -1], dim=-1), 1)

        return work


def shape(parameters: int, vocabulary: int) -> tuple[int, int]:
    """Layers and width of a GPT-2 with about so many parameters: within 3 %, as near as can be to GPT-2's own
    proportion of 64 units of width a layer; the nearest count where none is within."""
    shapes = [(layers, width) for layers in range(1, 49) for width in (8, 16, 32, *range(HEAD, 2049, HEAD))]

    def distance(one: tuple[int, int]) -> tuple[float, float]:
        layers, width = one
        count = layers * (12 * width**2 + 13 * width) + 2 * width + vocabulary * width
        off = abs(count / parameters - 1)
        return (0.0 if off <= 0.03 else off), abs(np.log(width / layers / HEAD))

    return min(shapes, key=distance)
