"""The actions of the command protocol, and what an operator may ask besides."""

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import control
from access import parse_access
from settings import Refused, Settings, read_settings
from sites import Site, SiteFolder, all_sites

Order = dict[str, Any]
_VERSION: Final = 1


def main(arguments: Sequence[str]) -> int:
    """Run one action or command; the exit status."""
    try:
        _run(arguments)
    except (Refused, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _run(arguments: Sequence[str]) -> None:
    name = arguments[0] if len(arguments) == 1 else ""
    if name not in ACTIONS and name not in COMMANDS:
        raise Refused(f"Usage: deploy {'|'.join([*ACTIONS, *COMMANDS])}")
    settings = read_settings()
    settings.root.mkdir(parents=True, exist_ok=True, mode=0o700)
    order = _read_order() if name in ACTIONS else {}
    os.chdir(settings.root)
    if name in ACTIONS:
        ACTIONS[name](settings, order)
    else:
        COMMANDS[name](settings)


def _read_order() -> Order:
    order: Order = json.load(sys.stdin)
    if order.get("version") != _VERSION:
        raise Refused(f"This deployer understands version {_VERSION} of the document, not {order.get('version')}.")
    return order


def build(_settings: Settings, order: Order) -> None:
    """There is nothing to build, only something to say."""
    if not (_tree(order) / "index.html").is_file():
        print("There is no index.html at the top, so the environment's first page will be an error 404.")


def deploy(settings: Settings, order: Order) -> None:
    """Publish the tree in place of the former one, and print where."""
    parse_access(order["environment"]["http_access"])
    folder = _folder(settings, order["environment"])
    with folder.locked():
        former = folder.read()
        site = _site(order, folder.add_tree(_tree(order)))
        folder.data.mkdir(exist_ok=True)
        port = _switch(settings, folder, former, site)
        # What came before stays until the next time, for requests that are under way.
        folder.keep_trees({site.tree, former.tree} if former else {site.tree})
    print(f"Serving {order['commit']} at port {port}")
    print(json.dumps({"urls": [settings.url(port)]}))


def sync_data(settings: Settings, order: Order) -> None:
    """Replace the environment's data by a copy of its parent's."""
    if order["parent"] is None:
        raise Refused("The environment has no parent to copy data from.")
    folder, parent = _folder(settings, order["environment"]), _folder(settings, order["parent"])
    if not parent.data.is_dir():
        print(f"{parent.name} has no data yet")
        return
    with folder.locked(), parent.locked():
        folder.replace_data(parent.data)


def pause(settings: Settings, order: Order) -> None:
    """Stop serving; the port, the tree and the data stay."""
    folder = _folder(settings, order["environment"])
    with folder.locked():
        site = folder.read()
        if site is not None:
            folder.write(replace(site, is_paused=True))
        control.close_site(folder.name)


def delete(settings: Settings, order: Order) -> None:
    """Stop serving and remove everything."""
    folder = _folder(settings, order["environment"])
    with folder.locked():
        folder.discard()
        control.close_site(folder.name)
    folder.empty_trash()


def start(settings: Settings) -> None:
    """Serve every site again, after a reboot for instance; print where they are."""
    control.start(settings)
    for folder in all_sites(settings.root):
        site, port = folder.read(), folder.read_port()
        if site is not None and not site.is_paused and port is not None:
            print(f"{folder.name}  {settings.url(port)}")


def stop_all(settings: Settings) -> None:
    """Stop serving all sites, and keep them."""
    print(f"Stopped serving {settings.root}" if control.stop() else "Nothing was being served")


def serve(_settings: Settings) -> None:
    """Serve in the foreground, until the end."""
    control.serve_here()


def _folder(settings: Settings, environment: dict[str, Any]) -> SiteFolder:
    return SiteFolder(settings.root, environment["machine_name"])


def _tree(order: Order) -> Path:
    tree = Path(order["tree"] or "")
    if not order["tree"] or not tree.is_dir():
        raise Refused(f"There is no folder {order['tree']!r} with the files to serve.")
    return tree


def _site(order: Order, tree: str) -> Site:
    environment = order["environment"]
    return Site(
        tree=tree,
        is_paused=False,
        restrict_robots=environment["restrict_robots"],
        http_access=environment["http_access"],
    )


def _switch(settings: Settings, folder: SiteFolder, former: Site | None, site: Site) -> int:
    """The port; when it cannot be served, everything is as it was."""
    folder.write(site)
    try:
        return control.open_site(settings, folder.name)
    except BaseException:
        folder.restore(former)
        raise


ACTIONS: Final = {"build": build, "deploy": deploy, "sync-data": sync_data, "pause": pause, "delete": delete}
COMMANDS: Final = {"start": start, "stop-all": stop_all, "serve": serve}
