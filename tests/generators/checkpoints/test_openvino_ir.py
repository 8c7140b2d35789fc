"""The constants of an OpenVINO graph, by name and by the layer that they feed."""

import numpy as np
import pytest
import torch

from ifgan_pl.core.errors import UserError
from ifgan_pl.generators.checkpoints.openvino_ir import Graph

XML = b"""<net><layers>
<layer id="0" name="x" type="Parameter"><data shape="1,2" element_type="f32"/><output><port id="0"/></output></layer>
<layer id="1" name="weight" type="Const"><data element_type="f32" shape="2,2" offset="0" size="16"/></layer>
<layer id="2" name="shape" type="Const"><data element_type="i64" shape="" offset="16" size="8"/></layer>
<layer id="3" name="product" type="MatMul"><input><port id="0"/><port id="1"/></input></layer>
<layer id="4" name="out" type="Reshape"><input><port id="0"/><port id="1"/></input></layer>
</layers><edges>
<edge from-layer="0" from-port="0" to-layer="3" to-port="0"/>
<edge from-layer="1" from-port="0" to-layer="3" to-port="1"/>
<edge from-layer="3" from-port="2" to-layer="4" to-port="0"/>
<edge from-layer="2" from-port="0" to-layer="4" to-port="1"/>
</edges></net>"""
WEIGHTS = np.arange(4, dtype="<f4").tobytes() + np.array(-1, dtype="<i8").tobytes()


def test_constants_are_found_by_name_and_by_the_layer_that_reads_them() -> None:
    graph = Graph(XML, WEIGHTS)
    weight = torch.tensor([[0.0, 1.0], [2.0, 3.0]])
    assert torch.equal(graph.named("weight"), weight)
    ((only,),) = graph.inputs_of("MatMul")
    assert torch.equal(only, weight)
    ((shape,),) = graph.inputs_of("Reshape")
    assert shape.shape == ()
    assert int(shape) == -1


def test_what_is_no_xml_is_one_line() -> None:
    with pytest.raises(UserError, match="not an OpenVINO IR"):
        Graph(b"<net>", b"")
