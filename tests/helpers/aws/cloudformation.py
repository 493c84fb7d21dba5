"""What moto's CloudFormation lacks for our templates: SAM's transform (by SAM's own translator), the resource types
that it silently skips, and updates that follow conditions.

moto still resolves the references. A resource of a skipped type becomes a `Skipped` that keeps its properties; alarms
and schedules are created in moto's services as well.
"""

from __future__ import annotations

import builtins
from typing import Any, ClassVar
from urllib.parse import urlsplit

import pytest
from moto.cloudformation import parsing, responses
from moto.cloudformation.models import ChangeSet, Stack
from moto.cloudformation.parsing import ResourceMap
from moto.cloudwatch.models import cloudwatch_backends
from moto.core.common_models import CloudFormationModel
from moto.logs.models import LogGroup
from moto.s3.models import s3_backends
from moto.scheduler.models import scheduler_backends
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

from tests.helpers.aws.iam import REGION


class NoManagedPolicies:
    """SAM's own loader would ask AWS for these; the templates use none."""

    def load(self) -> dict[str, str]:
        return {}


def transformed(text: str) -> dict[str, Any]:
    """The template after SAM's transform."""
    parsed = yaml_parse(text)
    if "Transform" not in parsed:
        return dict(parsed)
    for resource in parsed["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function" and "://" not in str(resource["Properties"]["CodeUri"]):
            resource["Properties"]["CodeUri"] = "s3://artefacts/function.zip"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_DEFAULT_REGION", REGION)
        result: dict[str, Any] = transform(parsed, {}, NoManagedPolicies())
    result.pop("Transform", None)
    return result


class Skipped(CloudFormationModel):
    """A resource of a type that moto does not support."""

    made: ClassVar[dict[str, dict[str, Any]]] = {}
    """Physical name → type and properties of each one that exists."""
    type = ""

    def __init__(self, name: str, properties: dict[str, Any]) -> None:
        self.name = self.physical_resource_id = name
        Skipped.made[name] = {"Type": self.type, "Properties": properties}

    @staticmethod
    def cloudformation_name_type() -> str:
        return ""

    @classmethod
    def cloudformation_type(cls) -> str:
        return cls.type

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:
        return attr == "Arn"

    def get_cfn_attribute(self, attribute_name: str) -> str:
        return f"arn:aws:cloudformation:::{self.name}/{attribute_name}"

    @classmethod
    def create_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: Any, account_id: str, region_name: str, **_: Any
    ) -> Any:
        made = cls(resource_name, cloudformation_json["Properties"])
        made.put(account_id, region_name)
        return made

    @classmethod
    def update_from_cloudformation_json(
        cls, original_resource: Any, new_resource_name: str, cloudformation_json: Any, account_id: str, region_name: str
    ) -> Any:
        original_resource.delete(account_id, region_name)
        return cls.create_from_cloudformation_json(original_resource.name, cloudformation_json, account_id, region_name)

    def put(self, account: str, region: str) -> None:
        """Create it in moto's service, if there is one."""

    def delete(self, account: str, region: str) -> None:
        del Skipped.made[self.name]


class Alarm(Skipped):
    type = "AWS::CloudWatch::Alarm"

    def put(self, account: str, region: str) -> None:
        p = Skipped.made[self.name]["Properties"]
        cloudwatch_backends[account][region].put_metric_alarm(
            name=self.name,
            namespace=p.get("Namespace", ""),
            metric_name=p.get("MetricName", ""),
            comparison_operator=p["ComparisonOperator"],
            evaluation_periods=int(p["EvaluationPeriods"]),
            period=int(p.get("Period", 0)),
            threshold=float(p["Threshold"]),
            statistic=p.get("Statistic", ""),
            description=p["AlarmDescription"],
            dimensions=[],
            alarm_actions=p.get("AlarmActions", []),
        )

    def delete(self, account: str, region: str) -> None:
        super().delete(account, region)
        cloudwatch_backends[account][region].delete_alarms([self.name])


class Schedule(Skipped):
    type = "AWS::Scheduler::Schedule"

    def put(self, account: str, region: str) -> None:
        p = Skipped.made[self.name]["Properties"]
        scheduler_backends[account][region].create_schedule(
            description=p.get("Description", ""),
            end_date="",
            flexible_time_window=p["FlexibleTimeWindow"],
            group_name="default",
            kms_key_arn="",
            name=self.name,
            schedule_expression=p["ScheduleExpression"],
            schedule_expression_timezone=p["ScheduleExpressionTimezone"],
            start_date=None,  # type: ignore[arg-type]
            state=p["State"],
            target=p["Target"],
            action_after_completion=None,
        )

    def delete(self, account: str, region: str) -> None:
        super().delete(account, region)
        scheduler_backends[account][region].delete_schedule("default", self.name)


def _kept(name: str) -> builtins.type[Skipped]:
    return builtins.type(name.rsplit(":", 1)[-1], (Skipped,), {"type": name})


KEPT = (
    "AWS::Lambda::EventInvokeConfig",
    "AWS::S3::BucketPolicy",
    "AWS::Batch::ComputeEnvironment",
    "AWS::Batch::JobQueue",
    "AWS::Batch::JobDefinition",
    "AWS::CodeBuild::Project",
    "AWS::Budgets::Budget",
    "AWS::Events::Rule",
)
TYPES = (Alarm, Schedule, *map(_kept, KEPT))


def _update(self: Any, template: dict[str, Any], parameters: dict[str, Any] | None = None) -> None:
    """ResourceMap.update, but with conditions: create, update and delete resources as the new template says."""
    old, self._template = dict(self._resource_json_map), template
    self.input_parameters = {**self.input_parameters, **(parameters or {})}
    self.load_mapping()
    self.load_parameters()
    self.load_conditions()
    self._resource_json_map = template["Resources"]
    for name, resource in list(template["Resources"].items()):
        wanted = "Condition" not in resource or self.lazy_condition_map[resource["Condition"]]
        there = self._parsed_resources.get(name)
        if there is not None and not wanted:
            self._delete_resource(there, resource)
            del self._parsed_resources[name]
        elif there is not None and (isinstance(there, Skipped) or resource["Type"] == "AWS::Lambda::Function"):
            self._parsed_resources[name] = parsing.parse_and_update_resource(
                name, resource, self, account_id=self._account_id, region_name=self._region_name
            )
        elif wanted:
            _ = self[name]
    for name in old.keys() - template["Resources"].keys():
        self._delete_resource(self._parsed_resources.pop(name), old[name])


def _for_moto(text: str) -> dict[str, Any]:
    """moto knows only Retain, which differs from RetainExceptOnCreate only when a first deployment fails."""
    template = transformed(text)
    for resource in template["Resources"].values():
        if resource.get("DeletionPolicy") == "RetainExceptOnCreate":
            resource["DeletionPolicy"] = "Retain"
    return template


def _read(self: Any) -> None:
    self.template_dict = _for_moto(self.template)


def _apply(self: Any) -> None:
    """ChangeSet.apply, which leaves out the stack's outputs, parameters and description."""
    stack = self.stack
    stack.resource_map.update(self.template_dict, self.parameters)
    stack.template, stack.template_dict = self.template, self.template_dict
    stack.description = self.template_dict.get("Description")
    stack.parameters = stack.resource_map.input_parameters
    stack.output_map = stack._create_output_map()


def _told(self: Any) -> dict[str, Any]:
    """Stack.stack_parameters, but a list as the text that was given: AWS tells that, and keeps it."""
    resolved = self.resource_map.resolved_parameters.items()
    return {name: ",".join(value) if isinstance(value, list) else value for name, value in resolved}


def _template_at(url: str, account_id: str, partition: str) -> str:
    """sam passes its template as an address at the endpoint: http://127.0.0.1:…/bucket/key."""
    bucket, _, key = urlsplit(url).path.lstrip("/").partition("/")
    found = s3_backends[account_id][partition].get_object(bucket, key)
    return str(found.value.decode())  # type: ignore[union-attr]


def _log_group_attribute(self: Any, name: str) -> str:
    """In AWS, Fn::GetAtt gives an Arn that ends with :*, so that a grant on it covers the group's streams."""
    assert name == "Arn"
    return f"{self.arn}:*"


def install(patch: pytest.MonkeyPatch) -> None:
    """Patch moto with all of this for as long as `patch` lasts."""
    models = [*CloudFormationModel.__subclasses__(), *TYPES]
    known = [model for model in models if model is not Skipped]
    patch.setattr(parsing, "get_model_list", lambda: known)
    patch.setattr(parsing, "get_model_map", lambda: {model.cloudformation_type(): model for model in known})
    patch.setattr(Stack, "parse_template", staticmethod(_for_moto))
    patch.setattr(Stack, "stack_parameters", property(_told))
    patch.setattr(ResourceMap, "update", _update)
    patch.setattr(ChangeSet, "_parse_template", _read)
    patch.setattr(ChangeSet, "apply", _apply)
    patch.setattr(responses, "get_stack_from_s3_url", _template_at)
    named = parsing.generate_resource_name
    patch.setattr(
        parsing,
        "generate_resource_name",
        lambda kind, *rest: named(kind, *rest).lower() if kind == "AWS::ECR::Repository" else named(kind, *rest),
    )
    patch.setattr(LogGroup, "get_cfn_attribute", _log_group_attribute, raising=False)
    Skipped.made.clear()
