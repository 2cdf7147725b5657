from google.protobuf import descriptor_pb2 as _descriptor_pb2
from google.protobuf import descriptor as _descriptor
from typing import ClassVar as _ClassVar

DESCRIPTOR: _descriptor.FileDescriptor
DEFAULT_VALUE_FIELD_NUMBER: _ClassVar[int]
default_value: _descriptor.FieldDescriptor
FORMER_NAME_FIELD_NUMBER: _ClassVar[int]
former_name: _descriptor.FieldDescriptor
RANGES_FIELD_NUMBER: _ClassVar[int]
ranges: _descriptor.FieldDescriptor
SHORT_FORM_FIELD_NUMBER: _ClassVar[int]
short_form: _descriptor.FieldDescriptor
