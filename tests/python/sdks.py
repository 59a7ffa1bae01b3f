"""Unmodified clients of the logging SDKs, each doing what its users do.

    sdks.py NAME BASE KEY

NAME is insidellm, modelstat, stackifier, boto3_refusals or litellm; BASE the address of the doors, `default` where
modelstat is not told one. Prints one JSON line with what the
client says of itself afterwards.
"""

import json
import os
import sys
import time


def insidellm(base, key):
    import insidellm
    from insidellm.models import Event, UserInputPayload
    client = insidellm.InsideLLMClient(api_key=key, base_url=base, auto_flush_interval=0.2)
    healthy = client.is_healthy()
    run = client.start_run(user_id="user-1")
    for number in range(18):
        client.log_event(Event.create_user_input(run_id=run, user_id="user-1", input_text=f"question {number}"))
    client.end_run(run)
    client.flush()
    for _ in range(100):
        statistics = client.queue_manager.get_statistics()
        if statistics["events_sent"] + statistics["events_failed"] >= 20:
            break
        time.sleep(0.1)
    client.shutdown()
    return {"healthy": healthy, "sent": statistics["events_sent"], "failed": statistics["events_failed"]}


def modelstat(base, key):
    import modelstat
    if modelstat.__version__ == "0.0.1":
        config = modelstat.Config(key, "raw_sdk_openai")
    else:
        config = modelstat.Config(key, "raw_sdk_openai", "checkout-api")
    if base != "default":
        config.mode = modelstat.Mode.local_daemon(base + "/v1/ingest")
    client = modelstat.Client(config)
    for number in range(600):
        # Starts differ, and so do the ids that are derived from them.
        client.record(modelstat.LlmCall(
            provider="openai", session_id="sess-1", model="gpt-4o", tokens=modelstat.TokenUsage(input=10, output=5),
            prompt=f"question {number}", completion="answer",
        ))
    client.flush()
    client.shutdown()
    return {"version": modelstat.__version__, "dropped": client.dropped()}


def stackifier(base, key):
    os.environ.update(AWS_ENDPOINT_URL_S3=base + "/s3", AWS_ACCESS_KEY_ID="any-name", AWS_SECRET_ACCESS_KEY=key,
                      AWS_DEFAULT_REGION="us-east-1")
    from stackifier import S3Writer, TraceHook
    trace = TraceHook(storage=S3Writer(bucket="my-logs", env="production"))
    trace.log_message(role="user", content="one")
    trace.flush()
    trace.log_message(role="assistant", content="two")
    trace.flush()
    return {}


def boto3_refusals(base, key):
    """What boto3 is told, by what is wrong with its request."""
    import datetime
    import boto3
    import botocore
    import botocore.auth
    from botocore.config import Config
    told = {}
    line = b'{"conversation_id":"c","messages":[{"role":"user","content":"%s"}]}\n'

    def put(name, key_id="any-name", secret=key, before_send=None, key="app/a b/date=1/log.jsonl", unsigned=False):
        config = Config(retries={"max_attempts": 0}, **({"signature_version": botocore.UNSIGNED} if unsigned else {}))
        client = boto3.client("s3", endpoint_url=base + "/s3", aws_access_key_id=key_id, aws_secret_access_key=secret,
                              region_name="us-east-1", config=config)
        if before_send:
            client.meta.events.register("before-send.s3.*", before_send)
        try:
            answer = client.put_object(Bucket="my-logs", Key=key, Body=line % name.encode())
            told[name] = answer["ResponseMetadata"]["HTTPStatusCode"]
        except botocore.exceptions.ClientError as error:
            told[name] = error.response["Error"]["Code"]
        return client

    def altered_body(request, **_):
        request.body = line % b"another body"

    def altered_key(request, **_):
        request.url = request.url.replace("log.jsonl", "lot.jsonl")

    client = put("signed")
    put("both", key_id=key)
    put("key as id", key_id=key, secret="another")
    put("wrong secret", secret="another")
    put("unsigned", unsigned=True)
    put("altered body", before_send=altered_body)
    put("altered key", before_send=altered_key)
    now = botocore.auth.get_current_datetime
    botocore.auth.get_current_datetime = lambda *given, **named: now(*given, **named) - datetime.timedelta(hours=1)
    put("old")
    botocore.auth.get_current_datetime = now
    try:
        client.get_object(Bucket="my-logs", Key="nothing/here")
    except botocore.exceptions.ClientError as error:
        told["missing"] = error.response["Error"]["Code"]
    return told


def litellm(base, key):
    os.environ.update(OTEL_EXPORTER="otlp_http", OTEL_ENDPOINT=base + "/v1/traces",
                      OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf", OTEL_EXPORTER_OTLP_ENDPOINT=base,
                      OTEL_HEADERS=f"Authorization=Bearer {key}", LITELLM_LOCAL_MODEL_COST_MAP="True")
    import asyncio
    import litellm
    from litellm.integrations.generic_api.generic_api_callback import GenericAPILogger

    async def calls():
        webhook = GenericAPILogger(endpoint=base + "/webhooks/litellm", headers={"Authorization": f"Bearer {key}"})
        litellm.callbacks = [webhook, "otel"]
        asked = [{"role": "user", "content": "What is the weather?"}]
        answer = await litellm.acompletion(model="openai/gpt-4o-mini", messages=asked, api_key="none",
                                           mock_response="It is sunny.")
        await asyncio.sleep(1)
        await webhook.async_send_batch()
        return answer.choices[0].message.content

    said = asyncio.run(calls())
    from opentelemetry import trace
    provider = trace.get_tracer_provider()
    if hasattr(provider, "force_flush"):
        provider.force_flush()
    time.sleep(6)
    return {"said": said}


if __name__ == "__main__":
    name, base, key = sys.argv[1:]
    print(json.dumps(globals()[name](base, key)))
