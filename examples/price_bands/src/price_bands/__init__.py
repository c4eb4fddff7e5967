"""The registry `price_bands`: how many prices are in each band."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from registry_pipeline.registry import (
    Artifacts,
    BuildContext,
    BuildInputs,
    RegistrySpec,
    Repository,
    SourceContext,
    json_document,
    make_artifacts,
)

ARTIFACT = "PRICE_BANDS.json"
BANDS = {"low": 0, "middle": 150, "high": 1000}


def read(repository: Repository, context: SourceContext) -> BuildInputs:
    """Return the prices of the registry `my_prices`, which was verified before this is called."""
    del repository  # everything is read from a sealed run
    prices = context.upstream.get("my_prices")
    # A captured registry without a run is left out: then there is nothing to build from.
    return BuildInputs(None if prices is None else json.loads(prices["prices.json"]))


def build(prices: Sequence[Mapping[str, Any]], context: BuildContext) -> Artifacts:
    """Return the number of prices in each band; the same prices give the same bytes."""
    del context  # what is built does not depend on the time
    limits = [*list(BANDS.values())[1:], None]
    rows = [
        {
            "band": band,
            "from_cents": start,
            "count": sum(start <= price["cents"] and (end is None or price["cents"] < end) for price in prices),
        }
        for (band, start), end in zip(BANDS.items(), limits, strict=True)
    ]
    return make_artifacts({ARTIFACT: json_document(rows)}, records=len(rows))


SPEC = RegistrySpec(
    registry_id="price_bands",
    kind="built",
    title="How many prices are in each band.",
    artifacts=(ARTIFACT,),
    schemas=((ARTIFACT, "price_bands.schema.json"),),
    depends_on=("my_prices",),
    record_key=("band",),
    reader=read,
    builder=build,
)
