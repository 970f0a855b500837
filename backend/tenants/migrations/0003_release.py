from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('tenants', '0002_tenant_identity'),
    ]

    operations = [
        migrations.CreateModel(
            name='Release',
            fields=[
                ('stamp', models.CharField(editable=False, max_length=64, primary_key=True, serialize=False)),
                ('released_at', models.DateTimeField(auto_now=True)),
            ],
            options={
                'db_table': 'tenant_release',
            },
        ),
    ]
