"""The peers of benches/savings.rs: eemeter or opendsm fits the same year of days.

Started with the folder of the data and the name of the peer. The protocol is in src/peer.rs: `fit` fits the year once and says
how long that took; `save fit` writes what came out to PEER-fit.answer.json. Reading the files, joining usage with temperatures
and, for opendsm, compiling at the first fit are not timed.
"""

import json
import sys
import time
from pathlib import Path

import pandas as pd

folder = Path(sys.argv[1])


def series(name):
    frame = pd.read_csv(folder / name, parse_dates=["start"])
    frame["start"] = pd.to_datetime(frame["start"], utc=True)
    return frame.set_index("start")["value"]


class Eemeter:
    def __init__(self):
        import eemeter

        self.eemeter = eemeter
        self.title = f"eemeter {eemeter.__version__}" if hasattr(eemeter, "__version__") else "eemeter"
        meter = series("meter.csv").to_frame("value")
        temperature = series("temperature.csv")
        temperature.index.freq = "H"
        self.design = eemeter.create_caltrack_daily_design_matrix(meter, temperature)
        self.results = None

    def fit(self):
        self.results = self.eemeter.fit_caltrack_usage_per_day_model(self.design)

    def answer(self):
        model = self.results.model
        return {**model.model_params, "r_squared_adj": model.r_squared_adj}


class Opendsm:
    def __init__(self):
        from importlib.metadata import version

        from opendsm import eemeter

        self.eemeter = eemeter
        self.title = f"opendsm {version('opendsm')}"
        meter = series("meter.csv").rename("observed").to_frame()
        temperature = series("temperature.csv").rename("temperature")
        self.data = eemeter.DailyBaselineData.from_series(meter, temperature, is_electricity_data=True)
        self.model = None
        self.fit()

    def fit(self):
        self.model = self.eemeter.DailyModel().fit(self.data, ignore_disqualification=True)

    def answer(self):
        return self.model.to_dict()["submodels"]


def main():
    peer = {"eemeter": Eemeter, "opendsm": Opendsm}[sys.argv[2]]()
    print(f"ready {peer.title}", flush=True)
    for line in sys.stdin:
        request = line.strip()
        if request == "save fit":
            (folder / f"{sys.argv[2]}-fit.answer.json").write_text(json.dumps(peer.answer(), default=str))
            print("saved", flush=True)
        elif request == "fit":
            begin = time.perf_counter()
            peer.fit()
            print(time.perf_counter() - begin, flush=True)
        else:
            sys.exit(f"unknown request {request!r}")


main()
