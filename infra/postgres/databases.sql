-- The databases of Prefect and MLflow, and one user for each, who owns what is his and reaches nothing else. For psql 15 or
-- later, as the administrator; the passwords are in the environment.
\set ON_ERROR_STOP on
\getenv prefect_password PREFECT_DB_PASSWORD
\getenv mlflow_password MLFLOW_DB_PASSWORD
CREATE ROLE prefect LOGIN PASSWORD :'prefect_password';
CREATE ROLE mlflow LOGIN PASSWORD :'mlflow_password';
CREATE DATABASE prefect OWNER prefect;
CREATE DATABASE mlflow OWNER mlflow;
CREATE DATABASE mlflow_users OWNER mlflow;
REVOKE ALL ON DATABASE prefect, mlflow, mlflow_users, postgres FROM PUBLIC;
