"""Migration operations of this application."""

from typing import Any

from django.db import migrations


class CreateModelUnlessPresent(migrations.CreateModel):
    """Create a model's table, or adopt the one the database's init script has made."""

    def database_forwards(
        self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any
    ) -> None:
        table = to_state.apps.get_model(app_label, self.name)._meta.db_table
        if table not in schema_editor.connection.introspection.table_names():
            super().database_forwards(app_label, schema_editor, from_state, to_state)
