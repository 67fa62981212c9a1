#!/usr/bin/env python3
"""Runs benchmark pages in headless Chromium, interleaved, one fresh browser with a fresh profile for each run, and
prints what they report. Python 3.9 or newer and a Chromium, nothing else: it runs on machines without Node.js.

    run.py FOLDER ...                                     the jobs of jobs/compare.txt, three rounds
    run.py --job 'bench bench.html?run=1&models=450M' dist
    run.py --job 'a a/bench.html?run=1' --job 'b b/bench.html?run=1' a=dist-before b=dist-after

FOLDER is what build made; of several, the first that has a file serves it. PREFIX=FOLDER serves one under a path.
A job is NAME PAGE?QUERY [f16]; f16 gives that job half precision. `report` and `log` are added to the query: a page
posts its JSON to the one when it is done, and to the other what it has so far.

CHROME names the browser, CHROME_LD its LD_LIBRARY_PATH. Ends with 0 if every run reported.
"""

import argparse
import json
import os
import queue
import signal
import sys
import time
import urllib.parse

import browser
from results import figures, table, together
from serve import Site

HERE = os.path.dirname(os.path.abspath(__file__))
GRACE = 3  # seconds that starting and ending a browser takes beside a job


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", metavar="[PREFIX=]FOLDER")
    parser.add_argument("--job", action="append", default=[], metavar="'NAME PAGE?QUERY [f16]'")
    parser.add_argument("--jobs", metavar="FILE", help="a job a line; without --job and --jobs, jobs/compare.txt")
    parser.add_argument("--only", metavar="NAME,...", help="these jobs only")
    parser.add_argument("--query", default="", help="added to every job's, tokens=33 for example")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--gpu",
        choices=sorted(browser.ADAPTERS),
        default="nvidia",
        help="software: SwiftShader, on the CPU, which has no f16",
    )
    parser.add_argument("--f16", action="store_true", help="half precision for all jobs (nvidia)")
    parser.add_argument("--safe", action="store_true", help="no unsafe WebGPU: only what a visitor's browser has")
    parser.add_argument("--dawn", action="append", default=[], metavar="TOGGLE", help="one more Dawn feature to enable")
    parser.add_argument(
        "--chrome-flag",
        action="append",
        default=[],
        metavar="FLAG",
        help="one more flag of Chromium: --chrome-flag=--v=1",
    )
    parser.add_argument(
        "--limit",
        type=float,
        default=570,
        metavar="SECONDS",
        help="for everything; runs that do not fit any more are left out",
    )
    parser.add_argument("--job-limit", type=float, default=120, metavar="SECONDS", help="for one run")
    parser.add_argument("--out", default="bench-peers.json", help="the results; written anew after each run")
    return parser.parse_args()


def jobs_of(given):
    lines = list(given.job)
    if given.jobs or not lines:
        with open(given.jobs or os.path.join(HERE, "jobs", "compare.txt"), encoding="utf-8") as file:
            lines += [line.strip() for line in file if line.strip() and not line.startswith("#")]
    jobs = []
    for line in lines:
        name, page, *rest = line.split()
        if rest not in ([], ["f16"]):
            raise SystemExit(f"run.py: not a job: {line}")
        jobs.append((name, page, rest == ["f16"] or given.f16))
    if given.only:
        names = given.only.split(",")
        unknown = set(names) - {name for name, *_ in jobs}
        if unknown:
            raise SystemExit(f"run.py: no such job: {', '.join(sorted(unknown))}")
        jobs = [job for job in jobs if job[0] in names]
    return jobs


def address(site, page, extra, number):
    if not site.find("/" + page):
        raise SystemExit(f"run.py: no folder has {page.partition('?')[0]}")
    path, _, query = page.partition("?")
    posts = urllib.parse.urlencode({"report": f"/report/{number}", "log": f"/log/{number}"}, safe="/")
    return f"{site.origin}/{path}?" + "&".join(filter(None, [query, extra, posts]))


def run(site, job, number, given, limit):
    """Opens a page and waits for its report; what it logged is kept for when there is none."""
    name, page, f16 = job
    posts = queue.Queue()
    site.on_post = lambda path, body: posts.put((path, body))
    start, record = time.monotonic(), {"job": name, "page": page, "f16": f16, "logged": []}
    chrome = browser.Browser(
        address(site, page, given.query, number), given.gpu, f16, given.safe, given.dawn, given.chrome_flag
    )
    try:
        while "report" not in record and "error" not in record:
            try:
                path, body = posts.get(timeout=0.2)
                if path not in (f"/report/{number}", f"/log/{number}"):
                    continue
                value = json.loads(body) if body else None
                if path.startswith("/report"):
                    record["report"] = value
                else:
                    record["logged"].append(value)
            except queue.Empty:
                if chrome.ended:
                    record["error"] = f"the browser ended: {chrome.process.returncode}"
                elif time.monotonic() - start > limit:
                    record["error"] = f"no report within {limit:.0f} s"
            except ValueError:
                record["error"] = f"not JSON: {body[:200]}"
        report = record.get("report") or {}
        record["error"] = record.get("error") or report.get("error")
        if record["error"]:
            record["browserLog"] = chrome.log()
        else:
            del record["logged"], record["error"]
    finally:
        chrome.close()
    record["seconds"] = round(time.monotonic() - start, 1)
    return record


def write(given, records, started):
    settings = {
        "gpu": given.gpu,
        "safe": given.safe,
        "dawn": given.dawn,
        "chromeFlags": given.chrome_flag,
        "query": given.query,
        "rounds": given.rounds,
    }
    result = {"started": started, "settings": settings, "medians": together(records), "runs": records}
    partial = given.out + ".partial"
    with open(partial, "w", encoding="utf-8") as file:
        json.dump(result, file, indent=1)
    os.replace(partial, given.out)
    return result


def main():
    given = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    mounts = [
        (prefix, folder) if equals else ("", prefix)
        for prefix, equals, folder in (text.partition("=") for text in given.folders)
    ]
    site, jobs = Site(mounts), jobs_of(given)
    start, started = time.monotonic(), time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    records, took, left_out = [], {}, 0
    for number in range(given.rounds):
        for job in jobs:
            left = given.limit - (time.monotonic() - start) - GRACE
            if left < took.get(job[0], 0) * 1.1 or left < 1:
                left_out += 1
                continue
            record = {"round": number, **run(site, job, len(records), given, min(given.job_limit, left))}
            records.append(record)
            took[job[0]] = record["seconds"]
            write(given, records, started)
            said = [f"{label}: {json.dumps(values)}" for label, values in figures(job[0], record.get("report") or {})]
            failed = [f"{job[0]}: {record['error']}\n{record['browserLog']}"] if "error" in record else []
            print(f"round {number + 1}, {record['seconds']} s", *said, *failed, sep="\n  ", flush=True)
    result = write(given, records, started)
    print(json.dumps({**result, "runs": f"in {given.out}"}))
    print(table(result["medians"]))
    if left_out:
        print(f"{left_out} runs did not fit into {given.limit:.0f} s")
    sys.exit(0 if records and not any("error" in record for record in records) else 1)


if __name__ == "__main__":
    main()
