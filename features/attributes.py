"""Attributes that only one company records: context, as known on the as-of date, in any source.

They are rows of the canonical table `attributes`, and `source.yaml` says what they are called. A
snapshot (one row per customer with a flag that says who has left, no history) has nothing else.
"""

from __future__ import annotations

from data.source import Source
from features.catalog import Feature
from features.declare import Attribute, Text

FAMILY = "profile"


def attribute_features(source: Source) -> tuple[Feature, ...]:
    """The declared attributes as features, in the order of `source.yaml`; never a lever."""
    return tuple(
        Feature(
            name=name,
            base=name,
            family=FAMILY,
            window=None,
            unit=declared.unit,
            better=None,
            lever=False,
            en=Text(declared.en, f"{declared.en}: {{value}}; customers who stay: {{typical}}"),
            ja=Text(
                declared.ja, f"{declared.ja}：{{value}}（継続されるお客様の目安：{{typical}}）"
            ),
            source=Attribute(
                base=name,
                table="attributes",
                column="category" if declared.unit == "category" else "number",
                en=declared.en,
                ja=declared.ja,
                en_reason=f"{declared.en}: {{value}} ({{typical}})",
                ja_reason=f"{declared.ja}：{{value}}（{{typical}}）",
                name=name,
            ),
        )
        for name, declared in source.attributes.items()
    )
