"""Membership as served by Python's grpcio: a gRPC server that shares no code with the agent.

Reads commands from stdin and writes what it sees to stdout, both as JSON Lines. The stubs are
generated from the project's own .proto into a temporary folder. Ends when stdin does.
"""

import argparse
import importlib.resources
import json
import os
import queue
import sys
import tempfile
import threading
from concurrent import futures


def load_stubs(proto):
    from grpc_tools import protoc

    out = tempfile.TemporaryDirectory()
    well_known = str(importlib.resources.files("grpc_tools") / "_proto")
    folder, name = os.path.split(os.path.abspath(proto))
    options = [f"-I{folder}", f"-I{well_known}", f"--python_out={out.name}", f"--grpc_python_out={out.name}"]
    if protoc.main(["protoc", *options, name]) != 0:
        sys.exit("protoc failed")
    sys.path.insert(0, out.name)
    import membership_pb2
    import membership_pb2_grpc

    return out, membership_pb2, membership_pb2_grpc


arguments = argparse.ArgumentParser()
arguments.add_argument("--proto", required=True)
arguments.add_argument("--certificate")
arguments.add_argument("--key")
arguments.add_argument("--compression", choices=["Gzip", "Deflate"])
arguments = arguments.parse_args()

stubs_folder, pb, pb_grpc = load_stubs(arguments.proto)

import grpc  # noqa: E402
from google.protobuf import json_format  # noqa: E402

writing = threading.Lock()


def tell(event, **fields):
    with writing:
        print(json.dumps({"event": event, **fields}), flush=True)


class Membership(pb_grpc.ServerServicer):
    def __init__(self):
        self.orders = queue.Queue()
        self.joined = threading.Lock()

    def Join(self, messages, context):
        metadata = [[key, value] for key, value in context.invocation_metadata()]
        if not self.joined.acquire(blocking=False):
            context.abort(grpc.StatusCode.ALREADY_EXISTS, "already joined")
        tell("joined", metadata=metadata)
        try:
            reader = threading.Thread(target=self.read, args=(messages, context), daemon=True)
            reader.start()
            # A stream that the agent breaks off ends no `get`, and a handler that waits for ever
            # would keep this process from ending.
            while context.is_active():
                try:
                    order = self.orders.get(timeout=0.1)
                except queue.Empty:
                    continue
                if order == "kill":
                    context.abort(grpc.StatusCode.UNAVAILABLE, "killed by the test")
                if order is context:
                    return
                yield order
        finally:
            self.joined.release()

    def read(self, messages, context):
        """The agent's half; where it ends while the call lives, the agent is leaving."""
        try:
            for message in messages:
                tell("message", message=json_format.MessageToDict(message))
        except Exception as error:  # grpcio raises a bare Exception when the stream breaks
            tell("broken", reason=repr(error))
            return
        if context.is_active():
            tell("half-closed")
            self.orders.put(context)


def serve():
    compression = getattr(grpc.Compression, arguments.compression) if arguments.compression else None
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=8), compression=compression)
    membership = Membership()
    pb_grpc.add_ServerServicer_to_server(membership, server)
    if arguments.certificate:
        with open(arguments.key, "rb") as key, open(arguments.certificate, "rb") as certificate:
            credentials = grpc.ssl_server_credentials([(key.read(), certificate.read())])
        port = server.add_secure_port("127.0.0.1:0", credentials)
    else:
        port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    tell("listening", port=port)

    for line in sys.stdin:
        command = json.loads(line)
        if "order" in command:
            membership.orders.put(json_format.ParseDict(command["order"], pb.Order()))
        elif "flood" in command:
            for number in range(command["flood"]):
                order = pb.Order()
                order.disabledStack.clusterName = f"stack-{number}"
                membership.orders.put(order)
        elif "kill" in command:
            membership.orders.put("kill")
    server.stop(None)


serve()
