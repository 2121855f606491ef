"""The kinds of mutants: those of cosmic-ray that a reviewer could overlook, and one of our own."""

from collections.abc import Iterator
from pathlib import Path

import parso
from cosmic_ray.ast import ast_nodes, get_ast_from_path
from cosmic_ray.operators.operator import Example, Operator
from cosmic_ray.plugins import get_operator
from parso.python.tree import ExprStmt, PythonNode
from parso.tree import NodeOrLeaf

OF_COSMIC_RAY = (
    "AddNot",
    "ReplaceAndWithOr",
    "ReplaceOrWithAnd",
    "ReplaceTrueWithFalse",
    "ReplaceFalseWithTrue",
    "ReplaceUnaryOperator_Delete_Not",
    "ReplaceUnaryOperator_USub_UAdd",
    "ReplaceComparisonOperator_Eq_NotEq",
    "ReplaceComparisonOperator_NotEq_Eq",
    "ReplaceComparisonOperator_Is_IsNot",
    "ReplaceComparisonOperator_IsNot_Is",
    "ReplaceComparisonOperator_Lt_LtE",
    "ReplaceComparisonOperator_Lt_GtE",
    "ReplaceComparisonOperator_LtE_Lt",
    "ReplaceComparisonOperator_LtE_Gt",
    "ReplaceComparisonOperator_Gt_GtE",
    "ReplaceComparisonOperator_Gt_LtE",
    "ReplaceComparisonOperator_GtE_Gt",
    "ReplaceComparisonOperator_GtE_Lt",
    "ReplaceBinaryOperator_Add_Sub",
    "ReplaceBinaryOperator_Sub_Add",
    "ReplaceBinaryOperator_Div_Mul",
    "ReplaceBinaryOperator_FloorDiv_Mul",
    "ReplaceBinaryOperator_BitAnd_BitOr",
    "NumberReplacer",
    "ZeroIterationForLoop",
    "ReplaceBreakWithContinue",
    "ReplaceContinueWithBreak",
    "ExceptionReplacer",
)


class DropStatement(Operator):
    """Leave out a call, or an assignment to an attribute or an item."""

    def mutation_positions(self, node: NodeOrLeaf) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
        if isinstance(node, PythonNode) and node.type == "simple_stmt" and _has_effect(node.children[0]):
            yield node.start_pos, node.end_pos

    def mutate(self, node: PythonNode, index: int) -> PythonNode:
        node.children[0] = parso.parse(f"{node.get_first_leaf().prefix}pass")
        return node

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (Example("order.save()", "pass"),)


def _has_effect(statement: NodeOrLeaf) -> bool:
    if isinstance(statement, ExprStmt):
        target, operator = statement.children[:2]
        is_augmented = operator.type == "operator" and operator.get_code().strip() != "="
        return operator.type != "annassign" and (is_augmented or target.type in ("atom_expr", "power"))
    return statement.type in ("atom_expr", "power")


OPERATORS: dict[str, Operator] = {name: get_operator(f"core/{name}")() for name in OF_COSMIC_RAY} | {
    "DropStatement": DropStatement()
}


def occurrences(module: Path) -> Iterator[tuple[str, int]]:
    """Return every mutant of a module: an operator's name, and which of the places that it applies to."""
    nodes = list(ast_nodes(get_ast_from_path(module)))
    for name, operator in OPERATORS.items():
        places = sum(1 for node in nodes for _ in operator.mutation_positions(node))
        yield from ((name, occurrence) for occurrence in range(places))
